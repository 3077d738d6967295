// Short words about what the person just did. Read out by the live region they land in.

import { clone, first, icon, part, text } from "./dom.js";

const SHOWN_MS = 6_000;

/**
 * @param {string} words
 * @param {{kind?: "completed" | "cancelled" | "failed"}} [options]
 */
export function toast(words, { kind = "completed" } = {}) {
  const node = clone("toast");
  node.dataset.kind = kind;
  icon(node, kind);
  text(part(node, "toast-text"), words);
  first(node, "button").addEventListener("click", () => node.remove());
  part(document, "toasts").append(node);
  const leave = () => (node.matches(":hover, :focus-within") ? setTimeout(leave, 1_000) : node.remove());
  setTimeout(leave, SHOWN_MS);
}
