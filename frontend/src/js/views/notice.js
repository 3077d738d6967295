// A page that is one sentence: not found, or something went wrong.

import { clone, fill, part } from "../dom.js";
import { isNamed, said } from "../thrown.js";
import { setTitle } from "../title.js";

/** @type {import("../kinds.js").View} */
export function notFound({ root }) {
  notice(root, "Page not found", "There is nothing at this address.");
}

/**
 * The API refused the question, or the page has a bug: say what it said and offer to ask again.
 * @param {import("../kinds.js").Context} context
 * @param {unknown} error
 * @param {import("../kinds.js").Retry} retry
 */
export function trouble({ root }, error, retry) {
  if (!isNamed(error, "Error")) console.error(error);
  notice(root, "This page could not be shown", said(error), retry);
}

/**
 * Replaces what `root` shows.
 * @param {HTMLElement} root
 * @param {string} title
 * @param {string} words
 * @param {import("../kinds.js").Retry} [retry]
 */
export function notice(root, title, words, retry) {
  setTitle(title);
  const node = clone("notice");
  fill(node, { title, text: words });
  const button = part(node, "retry");
  button.hidden = !retry;
  if (retry) button.addEventListener("click", () => retry({ moveFocus: true }));
  root.replaceChildren(node);
}
