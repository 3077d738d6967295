// One chart: a figure with its readouts and tools, and a uPlot in it that is made when there is room and data.

import uPlot from "uplot";

import { attribute, clone, part, text } from "../dom.js";
import { savePng } from "./export.js";
import { HEIGHT, plotOptions } from "./options.js";

/** @typedef {import("../kinds.js").Look} Look */
/** @typedef {import("../kinds.js").Zoom} Zoom */
/** @typedef {import("../kinds.js").Marks} Marks */

/** @type {Marks} */
const NO_MARKS = { gaps: [], broken: [] };

/**
 * `onCursor(i, chart)`: the pointer stands at row `i`, or left (null); `onZoom([min, max])`: a stretch was drawn,
 * null: all of it is wanted again; `x()`: what the lower axis has that whole steps have not.
 * @template {import("../kinds.js").Spec} S
 * @param {S} spec
 * @param {{
 *   onCursor: (i: number | null, chart: unknown) => void, onZoom: (zoom: Zoom) => void,
 *   x?: () => import("./options.js").Ticks,
 * }} options
 */
export function mountChart(spec, { onCursor, onZoom, x = () => ({}) }) {
  const node = clone("chart");
  const holder = part(node, "plot");
  node.dataset.chart = spec.name;
  text(part(node, "chart-title"), spec.title);
  const readouts = spec.series.map((series) => addReadout(node, series));
  let hovered = false;
  let marks = NO_MARKS;
  let drawnWith = "";

  const chart = {
    node,
    spec,
    plot: /** @type {uPlot | null} */ (null),
    /**
     * `data`: uPlot's columns, a raw and a smooth one for each series; `zoom`: [min, max], or null for all.
     * @param {import("../kinds.js").Columns} data
     * @param {{look: Look, zoom: Zoom, words: string, marked?: Marks}} how
     */
    draw(data, { look, zoom, words, marked = NO_MARKS }) {
      marks = marked;
      attribute(holder, "aria-label", words);
      drawNote(node, marked);
      const way = JSON.stringify({ ...look, smoothing: look.smoothing > 0 }); // how much is a matter of the data
      if (chart.plot && way !== drawnWith) chart.destroy();
      if (!chart.plot && holder.clientWidth === 0) return;
      const known = chart.plot;
      const plot = known ?? make(data, look);
      chart.plot = plot;
      drawnWith = way;
      plot.batch(() => {
        if (known) plot.setData(data, !zoom);
        if (zoom) plot.setScale("x", { min: zoom[0], max: zoom[1] });
      });
    },
    fit() {
      const [width, height] = [holder.clientWidth, heightOf(node, holder)];
      if (width > 0 && chart.plot && (chart.plot.width !== width || chart.plot.height !== height))
        chart.plot.setSize({ width, height });
    },
    /**
     * Stands the cursor at row `i`; null takes it away.
     * @param {number | null} i
     */
    place(i) {
      const { plot } = chart;
      if (!plot) return;
      const left = i === null ? -10 : plot.valToPos(plot.data[0][i], "x");
      plot.setCursor({ left, top: i === null ? -10 : 0 }, false); // false: tell no hook, this is not the pointer
    },
    /** @param {string[]} values */
    read(values) {
      values.forEach((value, k) => text(readouts[k], value));
    },
    destroy() {
      chart.plot?.destroy();
      chart.plot = null;
    },
  };

  /**
   * @param {import("../kinds.js").Columns} data
   * @param {Look} look
   */
  function make(data, look) {
    const options = plotOptions(spec, {
      width: holder.clientWidth,
      height: heightOf(node, holder),
      look,
      marks: () => marks,
      onCursor: (plot) => hovered && onCursor(plot.cursor.idx ?? null, chart),
      onZoom: (plot) => {
        if (plot.select.width < 4) return;
        const { left, width } = plot.select;
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        onZoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
      },
      x: x(),
    });
    const plot = new uPlot(options, data, holder);
    const { over } = plot;
    over.addEventListener("mouseenter", () => (hovered = true));
    over.addEventListener("mouseleave", () => ((hovered = false), onCursor(null, null)));
    over.addEventListener("dblclick", () => onZoom(null));
    return plot;
  }

  wireTools(node, chart);
  return chart;
}

/**
 * @param {HTMLElement} node
 * @param {import("../kinds.js").Series} series
 */
function addReadout(node, { label, token }) {
  const readout = clone("readout");
  part(readout, "swatch").style.background = `var(${token})`;
  text(part(readout, "name"), label);
  part(node, "readouts").append(readout);
  return part(readout, "value");
}

/**
 * @param {HTMLElement} node
 * @param {{spec: {title: string}, plot: uPlot | null}} chart
 */
function wireTools(node, chart) {
  const { title } = chart.spec;
  attribute(part(node, "full"), "aria-label", `${title}: whole screen`);
  attribute(part(node, "png"), "aria-label", `${title}: save as a PNG picture`);
  part(node, "full").hidden = !document.fullscreenEnabled;
  part(node, "full").addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : node.requestFullscreen(),
  );
  part(node, "png").addEventListener("click", () => chart.plot && savePng(title, chart.plot));
}

/**
 * @param {HTMLElement} node
 * @param {HTMLElement} holder
 */
function heightOf(node, holder) {
  return document.fullscreenElement === node ? Math.max(HEIGHT, holder.clientHeight) : HEIGHT;
}

/**
 * @param {HTMLElement} node
 * @param {Marks} marks
 */
function drawNote(node, { broken }) {
  const where = broken.length === 1 ? `step ${broken[0]}` : `${broken.length} steps, first at ${broken[0]}`;
  const note = part(node, "chart-note");
  text(note, broken.length ? `▲ Not a number at ${where}.` : "");
  note.hidden = broken.length === 0;
}
