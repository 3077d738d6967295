// Light or dark: as the system says, unless the person chose. Charts listen, since a canvas has no style sheet.

import { part } from "./dom.js";

const KEY = "lora-pipeline.theme";
/** @type {Record<string, "light" | "dark" | "system">} */
const NEXT = { system: "light", light: "dark", dark: "system" };
/** @type {Set<() => void>} */
const listeners = new Set();

const chosen = () => localStorage.getItem(KEY) ?? "system";

/**
 * Calls `listener` when the colours change, until `signal` aborts.
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onThemeChange(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/**
 * A colour token as the canvas understands it, for example `rgb(79, 70, 229)`.
 * @param {string} token
 */
export function colour(token) {
  const probe = document.createElement("i");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function apply() {
  const theme = chosen();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = part(document, "theme");
  button.title = `Colours: ${theme}`;
  button.setAttribute("aria-label", `Colours: ${theme}. Change to ${NEXT[theme]}`);
  for (const listener of listeners) listener();
}

export function beginTheme() {
  part(document, "theme").addEventListener("click", () => {
    const next = NEXT[chosen()];
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}
