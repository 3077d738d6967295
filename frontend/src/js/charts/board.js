// The charts of one job, with one cursor between them. Pointer, slider, zoom and tools move all of them together.

import { attribute, part, text } from "../dom.js";
import { count, localClock } from "../format.js";
import { columns, hasAny, mergePoints, newest } from "../series.js";
import { onThemeChange } from "../theme.js";
import { readLook, readZoom, writeLook } from "./look.js";
import { mountChart } from "./plot.js";
import { brokenSteps, evened, nearest, positive, withGaps } from "./shape.js";
import { CHARTS } from "./specs.js";

/** @typedef {import("../kinds.js").Point} Point */
/** @typedef {import("../kinds.js").Row} Row */
/** @typedef {import("../kinds.js").Gap} Gap */
/** @typedef {import("../kinds.js").JobSpec} Spec */
/** @typedef {import("../kinds.js").Look} Look */
/** @typedef {import("../kinds.js").Zoom} Zoom */

/**
 * Puts the charts into `board`; gives back `draw(points)`. `sharper([from, to])` gets more points of a stretch, or none.
 * @param {HTMLElement} board
 * @param {AbortSignal} signal
 * @param {{sharper: (steps: [from: number, to: number]) => Promise<Point[]>}} options
 */
export function mountBoard(board, signal, { sharper }) {
  const slider = part(board, "inspect");
  let look = readLook();
  let zoom = readZoom();
  /** @type {Point[]} */
  let points = [];
  /** @type {Point[]} */
  let detail = [];
  /** @type {Row[]} */
  let rows = [];
  /** @type {number | null} */
  let cursor = null;
  const charts = CHARTS.map((spec) => mountChart(spec, { onCursor: moved, onZoom: ranged }));
  part(board, "charts").replaceChildren(...charts.map(({ node }) => node));

  /**
   * The cursor stands at row `i` of `from`, or nowhere: bring all charts, readouts and the slider there.
   * @param {number | null} i
   * @param {unknown} from
   */
  function moved(i, from) {
    cursor = i;
    for (const chart of charts) {
      if (chart !== from) chart.place(i);
      chart.read(chart.spec.series.map((series) => chart.spec.show(valueAt(rows, series.name, i))));
    }
    const at = i ?? rows.length - 1;
    if (document.activeElement !== slider || i !== null) slider.value = String(at);
    const words = rows.length ? place(rows[at]) : "";
    text(part(board, "inspect-step"), i === null && words ? `${words}, the newest` : words);
    attribute(
      slider,
      "aria-valuetext",
      words && [words, ...charts.map(({ spec }) => spoken(spec, rows[at]))].filter(Boolean).join(", "),
    );
  }

  /**
   * A stretch of steps, or null for all.
   * @param {Zoom} scale
   */
  function ranged(scale) {
    zoom = scale && [Math.floor(scale[0]), Math.ceil(scale[1])];
    detail = [];
    writeLook(look, zoom);
    redraw();
    sharpen();
  }

  async function sharpen() {
    const asked = zoom;
    if (!asked) return;
    const more = await sharper(asked);
    if (signal.aborted || zoom !== asked || !more.length) return;
    detail = more;
    redraw();
  }

  /** @param {Partial<Look>} change */
  function changed(change) {
    look = { ...look, ...change };
    writeLook(look, zoom);
    redraw();
  }

  function redraw() {
    const inspected = cursor === null ? null : rows[cursor]?.step;
    rows = withGaps(detail.length ? mergePoints(points, detail) : points);
    drawTools(board, look, zoom);
    drawGapNote(part(board, "board-note"), gapsOf(rows));
    slider.max = String(Math.max(0, rows.length - 1));
    for (const chart of charts) drawChart(chart, rows, { look, zoom });
    const i =
      inspected === null
        ? -1
        : nearest(
            rows.map(({ step }) => step),
            inspected,
          );
    requestAnimationFrame(() => signal.aborted || moved(i < 0 ? null : i, null)); // once the plots stand at the new scale
  }

  slider.addEventListener("input", () => moved(Number(slider.value), null));
  slider.addEventListener("blur", () => moved(null, null));
  part(board, "reset-zoom").addEventListener("click", () => ranged(null));
  const [smoothing, log, cap] = [part(board, "smoothing"), part(board, "log"), part(board, "cap")];
  smoothing.addEventListener("input", () => changed({ smoothing: Number(smoothing.value) }));
  log.addEventListener("change", () => changed({ log: log.checked }));
  cap.addEventListener("change", () => changed({ cap: cap.checked }));
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  sized.observe(part(board, "charts"));
  document.addEventListener(
    "fullscreenchange",
    () => requestAnimationFrame(() => charts.forEach((chart) => chart.fit())),
    { signal },
  );
  onThemeChange(() => charts.forEach(({ plot }) => plot?.redraw(false)), signal);
  signal.addEventListener("abort", () => {
    sized.disconnect();
    for (const chart of charts) chart.destroy();
  });

  return function draw(/** @type {Point[]} */ fresh) {
    if (fresh === points) return;
    const first = points.length === 0;
    points = fresh;
    redraw();
    if (first && zoom) sharpen();
  };
}

/**
 * @param {import("../kinds.js").Chart<Spec>} chart
 * @param {Row[]} rows
 * @param {{look: Look, zoom: Zoom}} how
 */
function drawChart(chart, rows, { look, zoom }) {
  const { spec, node } = chart;
  const names = spec.series.map(({ name }) => name);
  node.hidden = rows.length > 0 && !names.some((name) => hasAny(rows, name));
  if (node.hidden || !rows.length) return;
  const [steps, ...raw] = columns(rows, names);
  const shown = look.log && spec.log ? raw.map(positive) : raw;
  const smoothed = shown.map((values, k) => (spec.series[k].smooth ? evened(values, look) : values));
  const marked = { gaps: gapsOf(rows), broken: brokenSteps(rows, names) };
  chart.draw([steps, ...shown, ...smoothed], { look, zoom, words: summary(spec, rows), marked });
}

/**
 * @param {HTMLElement} board
 * @param {Look} look
 * @param {Zoom} zoom
 */
function drawTools(board, look, zoom) {
  const slider = part(board, "smoothing");
  if (document.activeElement !== slider) slider.value = String(look.smoothing);
  text(part(board, "smoothing-value"), look.smoothing ? look.smoothing.toFixed(2) : "off");
  attribute(slider, "aria-valuetext", look.smoothing ? look.smoothing.toFixed(2) : "off");
  part(board, "log").checked = look.log;
  part(board, "cap").checked = look.cap;
  part(board, "zoom").hidden = zoom === null;
  if (zoom) text(part(board, "zoom-steps"), `Steps ${count(zoom[0])} to ${count(zoom[1])}`);
}

/**
 * @param {HTMLElement} note
 * @param {Gap[]} gaps
 */
function drawGapNote(note, gaps) {
  const where =
    gaps.length === 1
      ? `between steps ${count(gaps[0].from)} and ${count(gaps[0].to)}`
      : `in ${gaps.length} stretches of steps`;
  text(note, gaps.length ? `Shaded: nothing was reported ${where}.` : "");
  note.hidden = gaps.length === 0;
}

/** @param {Row[]} rows */
function gapsOf(rows) {
  return rows.flatMap((row) => (row.gap ? [row] : []));
}

/**
 * The value under the cursor, or the newest. A rare validation loss reads as the last one known at that step.
 * @param {Row[]} rows
 * @param {import("../kinds.js").Figure} name
 * @param {number | null} i
 */
function valueAt(rows, name, i) {
  if (i === null) return newest(rows, name);
  return name === "validationLoss" ? newest(rows.slice(0, i + 1), name) : rows[i]?.[name];
}

/** @param {Row} row */
function place({ step, epoch, timestamp, gap }) {
  if (gap) return "nothing reported";
  return [`step ${count(step)}`, epoch && `epoch ${epoch}`, localClock(timestamp)].filter(Boolean).join(", ");
}

/**
 * @param {Spec} spec
 * @param {Row | undefined} row
 */
function spoken({ title, series, show }, row) {
  return series
    .filter(({ name }) => (row?.[name] ?? null) !== null)
    .map(({ name, label }) => `${series.length > 1 ? `${label} ${title.toLowerCase()}` : title} ${show(row?.[name])}`)
    .join(", ");
}

/**
 * @param {Spec} spec
 * @param {Row[]} rows
 */
function summary({ title, series, show }, rows) {
  const parts = series
    .filter(({ name }) => hasAny(rows, name))
    .map(({ name, label }) => `${label}, newest ${show(newest(rows, name))}`);
  return `${title} over steps ${rows[0].step} to ${rows[rows.length - 1].step}. ${parts.join(". ")}.`;
}
