// The charts of one job, with one cursor between them. Pointer, slider, zoom and tools move all of them together.

import { attribute, part, text } from "../dom.js";
import { count, localClock } from "../format.js";
import { columns, hasAny, mergePoints, newest } from "../series.js";
import { onThemeChange } from "../theme.js";
import { readLook, readZoom, writeLook } from "./look.js";
import { mountChart } from "./plot.js";
import { brokenSteps, evened, nearest, positive, withGaps } from "./shape.js";
import { CHARTS } from "./specs.js";

/** Puts the charts into `board`; gives back `draw(points)`. `sharper([from, to])` gets more points of a stretch, or none. */
export function mountBoard(board, signal, { sharper }) {
  const slider = part(board, "inspect");
  let look = readLook();
  let zoom = readZoom();
  let points = [];
  let detail = [];
  let rows = [];
  let cursor = null;
  const charts = CHARTS.map((spec) => mountChart(spec, { onCursor: moved, onZoom: ranged }));
  part(board, "charts").replaceChildren(...charts.map(({ node }) => node));

  /** The cursor stands at row `i` of `from`, or nowhere: bring all charts, readouts and the slider there. */
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
    attribute(slider, "aria-valuetext", words && [words, ...charts.map(({ spec }) => spoken(spec, rows[at]))].filter(Boolean).join(", "));
  }

  /** A stretch of steps, or null for all. */
  function ranged(scale) {
    zoom = scale && [Math.floor(scale[0]), Math.ceil(scale[1])];
    detail = [];
    writeLook(look, zoom);
    redraw();
    if (zoom) sharpen();
  }

  async function sharpen() {
    const asked = zoom;
    const more = await sharper(asked);
    if (signal.aborted || zoom !== asked || !more.length) return;
    detail = more;
    redraw();
  }

  function changed(change) {
    look = { ...look, ...change };
    writeLook(look, zoom);
    redraw();
  }

  function redraw() {
    const inspected = cursor === null ? null : rows[cursor]?.step;
    rows = withGaps(detail.length ? mergePoints(points, detail) : points);
    drawTools(board, look, zoom);
    drawGapNote(part(board, "board-note"), rows.filter(({ gap }) => gap));
    slider.max = String(Math.max(0, rows.length - 1));
    for (const chart of charts) drawChart(chart, rows, { look, zoom });
    const i = inspected === null ? -1 : nearest(rows.map(({ step }) => step), inspected);
    requestAnimationFrame(() => signal.aborted || moved(i < 0 ? null : i, null)); // once the plots stand at the new scale
  }

  slider.addEventListener("input", () => moved(Number(slider.value), null));
  slider.addEventListener("blur", () => moved(null, null));
  part(board, "reset-zoom").addEventListener("click", () => ranged(null));
  part(board, "smoothing").addEventListener("input", ({ target }) => changed({ smoothing: Number(target.value) }));
  for (const name of ["log", "cap"]) part(board, name).addEventListener("change", ({ target }) => changed({ [name]: target.checked }));
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  sized.observe(part(board, "charts"));
  document.addEventListener("fullscreenchange", () => requestAnimationFrame(() => charts.forEach((chart) => chart.fit())), { signal });
  onThemeChange(() => charts.forEach(({ plot }) => plot?.redraw(false)), signal);
  signal.addEventListener("abort", () => {
    sized.disconnect();
    for (const chart of charts) chart.destroy();
  });

  return function draw(fresh) {
    if (fresh === points) return;
    const first = points.length === 0;
    points = fresh;
    redraw();
    if (first && zoom) sharpen();
  };
}

function drawChart(chart, rows, { look, zoom }) {
  const { spec, node } = chart;
  const names = spec.series.map(({ name }) => name);
  node.hidden = rows.length > 0 && !names.some((name) => hasAny(rows, name));
  if (node.hidden || !rows.length) return;
  const [steps, ...raw] = columns(rows, names);
  const shown = look.log && spec.log ? raw.map(positive) : raw;
  const smoothed = shown.map((values, k) => (spec.series[k].smooth ? evened(values, look) : values));
  const marked = { gaps: rows.filter(({ gap }) => gap), broken: brokenSteps(rows, names) };
  chart.draw([steps, ...shown, ...smoothed], { look, zoom, words: summary(spec, rows), marked });
}

function drawTools(board, look, zoom) {
  const slider = part(board, "smoothing");
  if (document.activeElement !== slider) slider.value = String(look.smoothing);
  text(part(board, "smoothing-value"), look.smoothing ? look.smoothing.toFixed(2) : "off");
  attribute(slider, "aria-valuetext", look.smoothing ? look.smoothing.toFixed(2) : "off");
  for (const name of ["log", "cap"]) part(board, name).checked = look[name];
  part(board, "zoom").hidden = zoom === null;
  if (zoom) text(part(board, "zoom-steps"), `Steps ${count(zoom[0])} to ${count(zoom[1])}`);
}

function drawGapNote(note, gaps) {
  const where = gaps.length === 1 ? `between steps ${count(gaps[0].from)} and ${count(gaps[0].to)}` : `in ${gaps.length} stretches of steps`;
  text(note, gaps.length ? `Shaded: nothing was reported ${where}.` : "");
  note.hidden = gaps.length === 0;
}

/** The value under the cursor, or the newest. A rare validation loss reads as the last one known at that step. */
function valueAt(rows, name, i) {
  if (i === null) return newest(rows, name);
  return name === "validationLoss" ? newest(rows.slice(0, i + 1), name) : rows[i]?.[name];
}

function place({ step, epoch, timestamp, gap }) {
  if (gap) return "nothing reported";
  return [`step ${count(step)}`, epoch && `epoch ${epoch}`, localClock(timestamp)].filter(Boolean).join(", ");
}

function spoken({ title, series, show }, row) {
  return series
    .filter(({ name }) => (row?.[name] ?? null) !== null)
    .map(({ name, label }) => `${series.length > 1 ? `${label} ${title.toLowerCase()}` : title} ${show(row[name])}`)
    .join(", ");
}

function summary({ title, series, show }, rows) {
  const parts = series
    .filter(({ name }) => hasAny(rows, name))
    .map(({ name, label }) => `${label}, newest ${show(newest(rows, name))}`);
  return `${title} over steps ${rows[0].step} to ${rows.at(-1).step}. ${parts.join(". ")}.`;
}
