// A button that puts words on the clipboard and says that it did.

import { announce, icon } from "./dom.js";

/**
 * `words()` gives what to copy; `shown` is selected instead where there is no clipboard.
 * @param {HTMLElement} button
 * @param {() => string} words
 * @param {() => Node} shown
 */
export function wireCopy(button, words, shown) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words());
      icon(button, "check");
      announce("Copied");
    } catch {
      getSelection()?.selectAllChildren(shown());
      announce("Selected; press Control and C to copy");
    }
    setTimeout(() => icon(button, "copy"), 1_500);
  });
}
