// What a status looks like: colour, icon and word together, never colour alone.

import { attribute, clone, icon, part, text } from "./dom.js";
import { statusWord } from "./words.js";

/**
 * Draws the badge into `slot`, or brings the one there up to date.
 * @param {HTMLElement} slot
 * @param {import("./kinds.js").Status} status
 */
export function badge(slot, status) {
  if (!slot.firstElementChild) slot.append(clone("badge"));
  const node = part(slot, "badge");
  const name = status.toLowerCase();
  attribute(node, "data-status", name);
  icon(node, name);
  text(part(node, "badge-text"), statusWord(status));
}
