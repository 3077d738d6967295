// Tabs as the ARIA practices have them: one stop for Tab, arrows between, Home and End; the choice stands in the address.

import { attribute } from "./dom.js";

/**
 * Calls `onShow(name)` for the tab shown first and for every later choice. Names come from ids `tab-{name}`.
 * @param {HTMLElement} root
 * @param {(name: string) => void} onShow
 */
export function wireTabs(root, onShow) {
  const tabs = /** @type {HTMLElement[]} */ ([...root.querySelectorAll('[role="tab"]')]);
  const nameOf = (/** @type {HTMLElement} */ tab) => tab.id.slice("tab-".length);

  const show = (/** @type {HTMLElement} */ chosen, { remember = true } = {}) => {
    for (const tab of tabs) {
      attribute(tab, "aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = tab !== chosen;
    }
    if (remember) {
      const url = new URL(location.href);
      if (chosen === tabs[0]) url.searchParams.delete("tab");
      else url.searchParams.set("tab", nameOf(chosen));
      history.replaceState(history.state, "", url);
    }
    if (remember) chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
    onShow(nameOf(chosen));
  };

  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const next = new Map([
        ["ArrowRight", i + 1],
        ["ArrowLeft", i - 1],
        ["Home", 0],
        ["End", -1],
      ]).get(key);
      const target = next === undefined ? undefined : tabs.at(next % tabs.length);
      if (!target) return;
      target.focus();
      show(target);
    });
  }
  const asked = new URL(location.href).searchParams.get("tab");
  show(tabs.find((tab) => nameOf(tab) === asked) ?? tabs[0], { remember: false });
}
