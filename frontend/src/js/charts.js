// Five charts over steps with one cursor between them, drawn by uPlot from the points of one job.
// Pointer, slider and zoom move all of them together.

import uPlot from "uplot";

import { attribute, clone, part, text } from "./dom.js";
import { figure, loss, percent } from "./format.js";
import { columns, hasAny, newest } from "./series.js";
import { colour, onThemeChange } from "./theme.js";

const HEIGHT = 210;
const FONT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';

const CHARTS = [
  {
    name: "loss",
    title: "Loss",
    show: loss,
    series: [
      { name: "trainingLoss", label: "Training", token: "--chart-1" },
      { name: "validationLoss", label: "Validation", token: "--chart-2", dots: true },
    ],
  },
  { name: "learning-rate", title: "Learning rate", show: figure, series: [{ name: "learningRate", label: "Rate", token: "--chart-3" }] },
  { name: "gradient-norm", title: "Gradient norm", show: figure, series: [{ name: "gradientNorm", label: "Norm", token: "--chart-4" }] },
  {
    name: "throughput",
    title: "Throughput",
    show: figure,
    unit: "tokens/sec",
    series: [{ name: "throughput", label: "Tokens/sec", token: "--chart-5" }],
  },
  {
    name: "gpu",
    title: "GPU utilization",
    show: percent,
    range: [0, 100],
    series: [{ name: "gpuUtilization", label: "In use", token: "--chart-6" }],
  },
];

/** Puts the charts into `board`; gives back `draw(points)`. Ends with `signal`. */
export function mountCharts(board, signal) {
  const slider = part(board, "inspect");
  let points = [];
  let zoomed = false;
  let cursor = null;
  const charts = CHARTS.map((spec) => mountChart(spec, { moved, ranged }));
  part(board, "charts").replaceChildren(...charts.map(({ node }) => node));

  /** The cursor stands at point `i` of `from`, or nowhere: bring all charts, readouts and the slider there. */
  function moved(i, from) {
    cursor = i;
    for (const chart of charts) {
      if (chart.plot && chart !== from) chart.place(i);
      chart.read(points, i);
    }
    const at = i ?? points.length - 1;
    if (document.activeElement !== slider || i !== null) slider.value = String(at);
    const words = points.length ? `Step ${points[at].step}` : "";
    text(part(board, "inspect-step"), i === null ? `${words} (newest)` : words);
    attribute(slider, "aria-valuetext", words && `${words}. ${charts.map((chart) => chart.words(points[at])).filter(Boolean).join(", ")}`);
  }

  /** One chart was zoomed to these steps, or null for all: zoom the others. */
  function ranged(scale) {
    zoomed = scale !== null;
    part(board, "reset-zoom").hidden = !zoomed;
    const [min, max] = scale ?? [points[0].step, points.at(-1).step];
    for (const { plot } of charts) plot?.setScale("x", { min, max });
    requestAnimationFrame(() => signal.aborted || moved(cursor, null)); // once the plots stand at the new scale
  }

  slider.addEventListener("input", () => moved(Number(slider.value), null));
  slider.addEventListener("blur", () => moved(null, null));
  part(board, "reset-zoom").addEventListener("click", () => ranged(null));
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  sized.observe(part(board, "charts"));
  onThemeChange(() => charts.forEach(({ plot }) => plot?.redraw(false)), signal);
  signal.addEventListener("abort", () => {
    sized.disconnect();
    for (const { plot } of charts) plot?.destroy();
  });

  return function draw(fresh) {
    const inspected = cursor === null ? null : points[cursor].step;
    points = fresh;
    slider.max = String(Math.max(0, points.length - 1));
    for (const chart of charts) chart.draw(points, zoomed);
    const i = points.findIndex(({ step }) => step === inspected);
    moved(i < 0 ? null : i, null);
  };
}

function mountChart(spec, { moved, ranged }) {
  const node = clone("chart");
  const names = spec.series.map(({ name }) => name);
  const holder = part(node, "plot");
  node.dataset.chart = spec.name;
  text(part(node, "chart-title"), spec.unit ? `${spec.title} (${spec.unit})` : spec.title);
  const readouts = spec.series.map((series) => {
    const readout = clone("readout");
    readout.querySelector(".swatch").style.background = `var(${series.token})`;
    text(part(readout, "name"), series.label);
    part(node, "readouts").append(readout);
    return part(readout, "value");
  });
  let hovered = false;

  const chart = {
    node,
    plot: null,
    draw(points, zoomed) {
      node.hidden = points.length > 0 && !names.some((name) => hasAny(points, name));
      if (node.hidden || !points.length) return;
      const data = columns(points, names);
      attribute(holder, "aria-label", summary(spec, points));
      if (!chart.plot) {
        if (holder.clientWidth === 0) return;
        chart.plot = new uPlot(options(spec, holder.clientWidth, onCursor, onZoom), data, holder);
        chart.plot.over.addEventListener("mouseenter", () => (hovered = true));
        chart.plot.over.addEventListener("mouseleave", () => ((hovered = false), moved(null, null)));
        chart.plot.over.addEventListener("dblclick", () => ranged(null));
        return;
      }
      const { min, max } = chart.plot.scales.x;
      chart.plot.batch(() => {
        chart.plot.setData(data, !zoomed);
        if (zoomed) chart.plot.setScale("x", { min, max });
      });
    },
    fit() {
      const width = holder.clientWidth;
      if (width > 0 && chart.plot && chart.plot.width !== width) chart.plot.setSize({ width, height: HEIGHT });
    },
    /** Stands the cursor at point `i`; null takes it away. */
    place(i) {
      const { plot } = chart;
      const left = i === null ? -10 : plot.valToPos(plot.data[0][i], "x");
      plot.setCursor({ left, top: i === null ? -10 : 0 }, false); // false: tell no hook, this is not the pointer
    },
    read(points, i) {
      spec.series.forEach(({ name }, k) => text(readouts[k], spec.show(valueAt(points, name, i))));
    },
    words(point) {
      return spec.series
        .filter(({ name }) => (point?.[name] ?? null) !== null)
        .map(({ name, label }) => `${names.length > 1 ? `${label} ${spec.title.toLowerCase()}` : spec.title} ${spec.show(point[name])}`)
        .join(", ");
    },
  };

  const onCursor = (plot) => hovered && moved(plot.cursor.idx ?? null, chart);
  const onZoom = (plot) => {
    if (plot.select.width < 4) return;
    const { left, width } = plot.select;
    ranged([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  };
  return chart;
}

/** The value under the cursor, or the newest. A rare validation loss reads as the last one known at that step. */
function valueAt(points, name, i) {
  if (i === null) return newest(points, name);
  return name === "validationLoss" ? newest(points.slice(0, i + 1), name) : points[i]?.[name];
}

function summary({ title, series, show }, points) {
  const parts = series
    .filter(({ name }) => hasAny(points, name))
    .map(({ name, label }) => `${label}, newest ${show(newest(points, name))}`);
  return `${title} over steps ${points[0].step} to ${points.at(-1).step}. ${parts.join(". ")}.`;
}

function options(spec, width, onCursor, onZoom) {
  const axis = { stroke: () => colour("--text-soft"), font: FONT, grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, range: steps }, y: { range: (_plot, min, max) => spec.range ?? heights(min, max) } },
    axes: [
      { ...axis, size: 30, incrs: WHOLE, values: (_plot, ticks) => ticks.map((tick) => tick.toLocaleString("en-US")) },
      { ...axis, size: 58, values: (_plot, ticks) => ticks.map((tick) => (spec.range ? `${tick}%` : figure(tick))) },
    ],
    series: [
      {},
      ...spec.series.map(({ label, token, dots }) => ({
        label,
        stroke: () => colour(token),
        width: 1.75,
        points: { size: 6, fill: () => colour("--surface"), ...(dots && { show: true }) },
      })),
    ],
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7, width: 0, fill: (_plot, i) => colour(spec.series[i - 1].token) } },
    hooks: { setCursor: [onCursor], setSelect: [onZoom] },
  };
}

const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 9 }, (_, power) => n * 10 ** power)).sort((a, b) => a - b);

/** A single step still needs room on both sides. */
function steps(_plot, min, max) {
  if (min === null || min === undefined) return [0, 1];
  return min === max ? [min - 1, max + 1] : [min, max];
}

/** Room above and below; a flat line lies in the middle, and a line of zeros on the floor. */
function heights(min, max) {
  if (min === null || min === undefined) return [0, 1];
  if (min === max) return min === 0 ? [0, 1] : [min - Math.abs(min) * 0.1, max + Math.abs(max) * 0.1];
  const room = (max - min) * 0.08;
  return [min >= 0 ? Math.max(0, min - room) : min - room, max + room];
}
