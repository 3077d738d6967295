// How uPlot draws a chart of ours: axes, raw lines faint behind smooth ones, gaps shaded, broken values marked.

import { count, figure } from "../format.js";
import { colour } from "../theme.js";
import { heights, logTicks, withoutOutliers } from "./shape.js";

export const HEIGHT = 210;
const FONT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 9 }, (_, power) => n * 10 ** power)).sort((a, b) => a - b);

/** @typedef {import("uplot")} Plot */
/** @typedef {import("../kinds.js").Series} Series */
/** @typedef {import("../kinds.js").Marks} Marks */
/** @typedef {Pick<import("uplot").Axis, "incrs" | "values">} Ticks */

/**
 * `marks()`: what to mark, in steps; `x`: how ticks read and step, where not by whole steps.
 * @param {import("../kinds.js").Spec} spec
 * @param {{
 *   width: number, height: number, look: import("../kinds.js").Look, marks: () => Marks, x?: Ticks,
 *   onCursor: (plot: Plot) => void, onZoom: (plot: Plot) => void,
 * }} how
 * @returns {import("uplot").Options}
 */
export function plotOptions(spec, { width, height, look, marks, onCursor, onZoom, x = {} }) {
  const log = look.log && spec.log;
  const axis = {
    stroke: () => colour("--text-soft"),
    font: FONT,
    grid: { stroke: () => colour("--grid"), width: 1 },
    ticks: { show: false },
  };
  const faint = look.smoothing > 0;
  /** @type {(plot: Plot, min: number, max: number) => [number, number]} */
  const range = (plot, min, max) => {
    const capped = look.cap && !spec.range ? withoutOutliers(inView(plot, spec.series.length)) : null;
    const [least, most] = capped ?? [min, max];
    return spec.range ?? heights(least, most, log);
  };
  /** @type {(series: Series) => import("uplot").Series} */
  const line = ({ label, token, dots, smooth }) => ({
    label,
    stroke: () => (faint && smooth ? faded(colour(token)) : colour(token)),
    width: faint && smooth ? 1 : 1.75,
    points: { size: 6, fill: () => colour("--surface"), ...(dots && { show: true }) },
  });
  /** @type {(series: Series) => import("uplot").Series} */
  const smoothed = ({ label, token, smooth }) => ({
    label,
    show: faint && Boolean(smooth),
    stroke: () => colour(token),
    width: 2,
    points: { show: false },
  });
  return {
    width,
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, range: breadth }, y: { range, ...(log && { distr: 3 }) } },
    axes: [
      { ...axis, size: 30, incrs: WHOLE, values: (_plot, ticks) => ticks.map((tick) => count(tick)), ...x },
      {
        ...axis,
        size: 58,
        values: (_plot, ticks) => ticks.map((tick) => (tick === null ? "" : spec.range ? `${tick}%` : figure(tick))),
        ...(log && { splits: (_plot, _axis, min, max) => logTicks(min, max), filter: (_plot, ticks) => ticks }),
      },
    ],
    series: [{}, ...spec.series.map(line), ...spec.series.map(smoothed)],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: {
        size: (_plot, i) => (faint && spec.series[i - 1]?.smooth ? 0 : 7),
        width: 0,
        fill: (_plot, i) => colour(spec.series[(i - 1) % spec.series.length].token),
      },
    },
    hooks: { setCursor: [onCursor], setSelect: [onZoom], drawClear: [(plot) => drawMarks(plot, marks())] },
  };
}

/**
 * The raw values that stand between the ends of the axis.
 * @param {Plot} plot
 * @param {number} lines
 */
function inView(plot, lines) {
  const [first, last] = plot.series[0].idxs ?? [0, plot.data[0].length - 1];
  return plot.data.slice(1, 1 + lines).flatMap((column) => Array.from(column.slice(first, last + 1)));
}

/** @param {string} rgb */
function faded(rgb) {
  return rgb.replace(/^rgb\((.*)\)$/, "rgb($1 / 28%)").replaceAll(",", " ");
}

/**
 * A single step still needs room on both sides.
 * @param {Plot} _plot
 * @param {number | null} min
 * @param {number | null} max
 * @returns {[number, number]}
 */
function breadth(_plot, min, max) {
  if (typeof min !== "number" || typeof max !== "number") return [0, 1];
  return min === max ? [min - 1, max + 1] : [min, max];
}

/**
 * Shades what was never reported, and sets a red mark at the foot where something was no number.
 * @param {Plot} plot
 * @param {Marks} marks
 */
function drawMarks(plot, { gaps, broken }) {
  const { ctx, bbox } = plot;
  const at = (/** @type {number} */ step) =>
    Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(step, "x", true)));
  ctx.save();
  ctx.fillStyle = colour("--gap");
  for (const { from, to } of gaps) ctx.fillRect(at(from), bbox.top, at(to) - at(from), bbox.height);
  ctx.fillStyle = colour("--failed");
  const size = 4 * devicePixelRatio;
  for (const step of broken) {
    const left = plot.valToPos(step, "x", true);
    if (left < bbox.left || left > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(left - size, bbox.top + bbox.height);
    ctx.lineTo(left + size, bbox.top + bbox.height);
    ctx.lineTo(left, bbox.top + bbox.height - 2 * size);
    ctx.fill();
  }
  ctx.restore();
}
