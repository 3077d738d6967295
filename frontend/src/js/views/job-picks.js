// Ticking two to five jobs of the list, and the bar that leads to their comparison.

import { attribute, first, part, text } from "../dom.js";
import { comparison, LEAST, MOST, picks } from "../picks.js";

/**
 * Gives back the function that draws what is ticked.
 * @param {HTMLElement} root
 * @param {AbortSignal} signal
 */
export function wirePicks(root, signal) {
  const draw = () => {
    const ids = picks.list();
    for (const box of part(root, "rows").querySelectorAll("input")) {
      box.checked = picks.has(box.value);
      box.disabled = picks.full() && !box.checked;
    }
    part(root, "picked").hidden = ids.length === 0;
    text(part(root, "picked-words"), words(ids.length));
    attribute(part(root, "compare"), "href", ids.length >= LEAST ? comparison(ids) : null);
    part(root, "compare").classList.toggle("off", ids.length < LEAST);
  };
  part(root, "rows").addEventListener(
    "change",
    ({ target }) => {
      if (!(target instanceof HTMLInputElement)) return;
      picks.set(target.value, target.checked);
      draw();
    },
    { signal },
  );
  part(root, "unpick").addEventListener("click", () => {
    picks.clear();
    draw();
    first(root, "h1").focus();
  });
  return draw;
}

/** @param {number} number */
function words(number) {
  if (number < LEAST) return "1 job picked. Pick another to compare.";
  return `${number} jobs picked${number === MOST ? ", the most there can be" : ""}.`;
}
