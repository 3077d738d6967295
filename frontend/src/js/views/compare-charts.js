// The curves of several jobs over one another, with one cursor; over steps, or over the time since each began.

import { mountChart } from "../charts/plot.js";
import { readLook, readZoom, writeLook } from "../charts/look.js";
import { evened, positive } from "../charts/shape.js";
import { LETTERS, overlaid, valueUpTo } from "../compared.js";
import { attribute, part, text } from "../dom.js";
import { duration, figure, loss } from "../format.js";
import { onThemeChange } from "../theme.js";

/** @typedef {import("../kinds.js").ComparedJob} Job */
/** @typedef {import("../kinds.js").Figure} Figure */
/** @typedef {import("../kinds.js").Look & {byTime: boolean}} Look */
/** @typedef {import("../kinds.js").Zoom} Zoom */

/** @type {(Omit<import("../kinds.js").Spec, "series"> & {name: Figure, dots?: boolean})[]} */
const CHARTS = [
  { name: "trainingLoss", title: "Training loss", show: loss, log: true, smooth: true },
  { name: "validationLoss", title: "Validation loss", show: loss, log: true, dots: true },
  { name: "learningRate", title: "Learning rate", show: figure, log: true },
  { name: "gradientNorm", title: "Gradient norm", show: figure, log: true, smooth: true },
  { name: "throughput", title: "Tokens/sec", show: figure, smooth: true },
];
const NAMES = CHARTS.map(({ name }) => name);
const SECONDS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 604800];

/**
 * Gives back `draw(jobs)`.
 * @param {HTMLElement} root
 * @param {number} jobsCount
 * @param {AbortSignal} signal
 */
export function mountOverlay(root, jobsCount, signal) {
  let look = { ...readLook(), byTime: new URL(location.href).searchParams.get("over") === "time" };
  /** @type {Job[]} */
  let jobs = [];
  let columns = overlaid(jobs, NAMES);
  let zoom = readZoom();
  const series = (/** @type {typeof CHARTS[number]} */ { smooth: may, dots }) =>
    LETTERS.slice(0, jobsCount).map((label, i) => ({
      name: label,
      label,
      token: `--chart-${i + 1}`,
      smooth: may,
      dots,
    }));
  /** @type {() => import("../charts/options.js").Ticks} */
  const x = () =>
    look.byTime ? { incrs: SECONDS, values: (_plot, ticks) => ticks.map((tick) => duration(tick)) } : {};
  const charts = CHARTS.map((spec) =>
    mountChart({ ...spec, series: series(spec) }, { onCursor: moved, onZoom: ranged, x }),
  );
  part(root, "charts").replaceChildren(...charts.map(({ node }) => node));

  const of = (/** @type {number} */ k) => columns.slice(1).filter((_, i) => i % NAMES.length === k);

  /**
   * @param {number | null} i
   * @param {unknown} from
   */
  function moved(i, from) {
    charts.forEach((chart, k) => {
      if (chart !== from) chart.place(i);
      chart.read(of(k).map((column) => chart.spec.show(valueUpTo(column, i))));
    });
  }

  /** @param {Zoom} scale */
  function ranged(scale) {
    zoom = scale && [Math.floor(scale[0]), Math.ceil(scale[1])];
    kept();
    redraw();
  }

  /** @param {Partial<Look>} change */
  function changed(change) {
    if ("byTime" in change) zoom = null;
    look = { ...look, ...change };
    kept();
    redraw();
  }

  /** The address says what is seen. */
  function kept() {
    const { byTime, ...charted } = look;
    const url = new URL(location.href);
    if (byTime) url.searchParams.set("over", "time");
    else url.searchParams.delete("over");
    history.replaceState(history.state, "", url);
    writeLook(charted, zoom);
  }

  function redraw() {
    columns = overlaid(jobs, NAMES, look);
    drawTools(root, look, zoom);
    charts.forEach((chart, k) => {
      const raw = of(k);
      chart.node.hidden = !raw.some((column) => column.some((value) => value !== undefined));
      if (chart.node.hidden) return;
      const shown = look.log && chart.spec.log ? raw.map(positive) : raw;
      const smoothed = chart.spec.smooth ? shown.map((column) => evened(column, look)) : shown;
      const words = `${chart.spec.title}. ${raw.map((column, i) => `${LETTERS[i]}, newest ${chart.spec.show(valueUpTo(column, null))}`).join(". ")}.`;
      chart.draw([columns[0], ...shown, ...smoothed], { look, zoom, words });
    });
    requestAnimationFrame(() => signal.aborted || moved(null, null));
  }

  part(root, "reset-zoom").addEventListener("click", () => ranged(null));
  const [smoothing, log, cap, byTime] = [
    part(root, "smoothing"),
    part(root, "log"),
    part(root, "cap"),
    part(root, "by-time"),
  ];
  smoothing.addEventListener("input", () => changed({ smoothing: Number(smoothing.value) }));
  log.addEventListener("change", () => changed({ log: log.checked }));
  cap.addEventListener("change", () => changed({ cap: cap.checked }));
  byTime.addEventListener("change", () => changed({ byTime: byTime.checked }));
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  sized.observe(part(root, "charts"));
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

  return (/** @type {Job[]} */ fresh) => {
    jobs = fresh;
    redraw();
  };
}

/**
 * @param {HTMLElement} root
 * @param {Look} look
 * @param {Zoom} zoom
 */
function drawTools(root, look, zoom) {
  const words = look.smoothing ? look.smoothing.toFixed(2) : "off";
  part(root, "smoothing").value = String(look.smoothing);
  text(part(root, "smoothing-value"), words);
  attribute(part(root, "smoothing"), "aria-valuetext", words);
  part(root, "log").checked = look.log;
  part(root, "cap").checked = look.cap;
  part(root, "by-time").checked = look.byTime;
  part(root, "zoom").hidden = zoom === null;
}
