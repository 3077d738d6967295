// What was thrown may be anything; these say what of it matters.

/** @param {unknown} thrown */
export function said(thrown) {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * @param {unknown} thrown
 * @param {string} name
 */
export function isNamed(thrown, name) {
  return thrown instanceof Error && thrown.name === name;
}
