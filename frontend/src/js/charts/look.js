// How charts are looked at: smoothing, axis, outliers, and the stretch of steps. It stands in the address, so that a
// reload or a colleague sees the same; what was chosen last is where the next job begins.

/** @typedef {import("../kinds.js").Look} Look */
/** @typedef {import("../kinds.js").Zoom} Zoom */

const KEY = "lora-pipeline.charts";
/** @type {Look} */
export const PLAIN = { smoothing: 0, log: false, cap: false };

/** The look that the address asks for, else the last one. */
export function readLook(url = new URL(location.href)) {
  const asked = url.searchParams;
  if (!["smooth", "log", "cap"].some((name) => asked.has(name))) return remembered();
  return { smoothing: weight(asked.get("smooth")), log: asked.get("log") === "1", cap: asked.get("cap") === "1" };
}

/**
 * `[from, to]` in steps, or null.
 * @returns {Zoom}
 */
export function readZoom(url = new URL(location.href)) {
  const [, from, to] = url.searchParams.get("zoom")?.match(/^(\d{1,10})-(\d{1,10})$/) ?? [];
  return from !== undefined && Number(from) < Number(to) ? [Number(from), Number(to)] : null;
}

/**
 * @param {Look} look
 * @param {Zoom} zoom
 */
export function writeLook(look, zoom) {
  localStorage.setItem(KEY, JSON.stringify(look));
  const url = new URL(location.href);
  const values = {
    smooth: look.smoothing || null,
    log: look.log ? 1 : null,
    cap: look.cap ? 1 : null,
    zoom: zoom && `${zoom[0]}-${zoom[1]}`,
  };
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, String(value));
    else url.searchParams.delete(name);
  }
  history.replaceState(history.state, "", url);
}

function remembered() {
  try {
    const { smoothing, log, cap } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { smoothing: weight(smoothing), log: log === true, cap: cap === true };
  } catch {
    return PLAIN;
  }
}

/** @param {unknown} value */
function weight(value) {
  const number = Number(value);
  return number > 0 && number < 1 ? number : 0;
}
