// The strip that says since when the API is away and when it is asked again.

import { part, text } from "./dom.js";
import { retryNow } from "./poll.js";

/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;

/** @param {import("./poll.js").Outage} outage */
export function showAway({ since, retryAt, message }) {
  const strip = part(document, "away");
  const clock = new Date(since).toLocaleTimeString(undefined, { timeStyle: "medium" });
  text(part(strip, "away-text"), `API away since ${clock}. ${message}`);
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    text(part(strip, "away-countdown"), seconds > 0 ? `Retrying in ${seconds} s…` : "Retrying…");
  };
  clearInterval(ticking);
  ticking = setInterval(tick, 1_000);
  tick();
  strip.hidden = false;
}

export function hideAway() {
  clearInterval(ticking);
  part(document, "away").hidden = true;
}

part(document, "away-retry").addEventListener("click", retryNow);
