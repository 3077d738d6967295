// Points as the server sends them → what charts and estimates need. Pure.
// A point is one row per step; a later report of a step replaces the earlier one.

/** @typedef {import("./kinds.js").Point} Point */
/** @typedef {import("./kinds.js").Figure} Figure */
/** @typedef {import("./kinds.js").Row} Row */

/** @type {Figure[]} */
const TRAINING = ["trainingLoss", "learningRate", "gradientNorm", "throughput", "gpuUtilization"];

/**
 * `known` with `fresh` merged in, ascending by step. Neither argument is changed.
 * @param {Point[]} known
 * @param {Point[]} fresh
 */
export function mergePoints(known, fresh) {
  if (fresh.length === 0) return known;
  const last = known.at(-1)?.step ?? -1;
  if (fresh.every((point, i) => point.step > (i ? fresh[i - 1].step : last))) return [...known, ...fresh];
  const steps = new Map([...known, ...fresh].map((point) => [point.step, point]));
  return [...steps.values()].sort((a, b) => a.step - b.step);
}

/**
 * The step to ask for points after, or null when there is none yet.
 * @param {{step: number}[]} points
 */
export function lastStep(points) {
  return points.at(-1)?.step ?? null;
}

/**
 * Columns for uPlot: the steps, then one array for each name, all of one length.
 * `null` is a gap. `undefined` is no gap: the line goes on to the next value. A row that carries nothing but a
 * validation loss says nothing about the rest, and a validation loss is rare by nature, so neither breaks a line.
 * @param {Row[]} points
 * @param {Figure[]} names
 * @returns {[number[], ...import("./kinds.js").Column[]]}
 */
export function columns(points, names) {
  const evaluation = points.map(
    (point) => (point.validationLoss ?? null) !== null && TRAINING.every((name) => (point[name] ?? null) === null),
  );
  const column = (/** @type {Figure} */ name) =>
    points.map((point, i) => {
      const value = point[name] ?? null;
      return value === null && (name === "validationLoss" || evaluation[i]) ? undefined : value;
    });
  return [points.map(({ step }) => step), ...names.map(column)];
}

/**
 * Whether any point has a value under this name: zero is one.
 * @param {Row[]} points
 * @param {Figure} name
 */
export function hasAny(points, name) {
  return points.some((point) => (point[name] ?? null) !== null);
}

/**
 * The newest value under this name, or null.
 * @param {Row[]} points
 * @param {Figure} name
 */
export function newest(points, name) {
  return points.findLast((point) => (point[name] ?? null) !== null)?.[name] ?? null;
}

/**
 * The point with the least value under this name, the earliest of several; null where there is none.
 * @param {Point[]} points
 * @param {Figure} name
 */
export function lowest(points, name) {
  const measured = points.filter((point) => point[name] !== null);
  const least = Math.min(...measured.map((point) => point[name] ?? Infinity));
  return measured.find((point) => point[name] === least) ?? null;
}

/**
 * Seconds left, from the steps that the newest points took; null while that is not known.
 * Standing still slows the measured rate, and ten silent minutes end the guess.
 * @param {Pick<Point, "step" | "timestamp">[]} points
 * @param {{currentStep: number, totalSteps: number}} job
 */
export function secondsLeft(points, { currentStep, totalSteps }, now = Date.now()) {
  const window = points.slice(-50);
  if (window.length < 2 || currentStep >= totalSteps) return null;
  const [first, last] = [window[0], window[window.length - 1]];
  const from = Date.parse(first.timestamp);
  const silence = now - Date.parse(last.timestamp);
  const elapsed = (Math.max(now, Date.parse(last.timestamp)) - from) / 1000;
  const steps = last.step - first.step;
  if (steps <= 0 || elapsed <= 0 || Math.abs(silence) > 600_000) return null;
  return ((totalSteps - currentStep) * elapsed) / steps;
}
