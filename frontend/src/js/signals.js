// What ends with the first of several.

/** @typedef {typeof AbortSignal & {any(signals: AbortSignal[]): AbortSignal}} Signals whose `any` is younger than the types */

/**
 * A signal that aborts with the first of these.
 * @param {...AbortSignal} signals
 */
export function earliest(...signals) {
  return /** @type {Signals} */ (AbortSignal).any(signals);
}
