// A button that puts words on the clipboard and says that it did.

import { announce, attribute } from "./dom.js";

/** `words()` gives what to copy; `shown` is selected instead where there is no clipboard. */
export function wireCopy(button, words, shown) {
  const use = button.querySelector("use");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words());
      attribute(use, "href", "#icon-check");
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(shown());
      announce("Selected; press Control and C to copy");
    }
    setTimeout(() => attribute(use, "href", "#icon-copy"), 1_500);
  });
}
