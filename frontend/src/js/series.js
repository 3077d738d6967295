// Points as the server sends them → what charts and estimates need. Pure.
// A point is one row per step; a later report of a step replaces the earlier one.

const TRAINING = ["trainingLoss", "learningRate", "gradientNorm", "throughput", "gpuUtilization"];

/** `known` with `fresh` merged in, ascending by step. Neither argument is changed. */
export function mergePoints(known, fresh) {
  if (fresh.length === 0) return known;
  const last = known.at(-1)?.step ?? -1;
  if (fresh.every((point, i) => point.step > (i ? fresh[i - 1].step : last))) return [...known, ...fresh];
  const steps = new Map([...known, ...fresh].map((point) => [point.step, point]));
  return [...steps.values()].sort((a, b) => a.step - b.step);
}

/** The step to ask for points after, or null when there is none yet. */
export function lastStep(points) {
  return points.at(-1)?.step ?? null;
}

/**
 * Columns for uPlot: the steps, then one array for each name, all of one length.
 * `null` is a gap. `undefined` is no gap: the line goes on to the next value. A row that carries nothing but a
 * validation loss says nothing about the rest, and a validation loss is rare by nature, so neither breaks a line.
 */
export function columns(points, names) {
  const evaluation = points.map(
    (point) => (point.validationLoss ?? null) !== null && TRAINING.every((name) => (point[name] ?? null) === null),
  );
  const column = (name) =>
    points.map((point, i) => {
      const value = point[name] ?? null;
      return value === null && (name === "validationLoss" || evaluation[i]) ? undefined : value;
    });
  return [points.map(({ step }) => step), ...names.map(column)];
}

/** Whether any point has a value under this name: zero is one. */
export function hasAny(points, name) {
  return points.some((point) => (point[name] ?? null) !== null);
}

/** The newest value under this name, or null. */
export function newest(points, name) {
  return points.findLast((point) => (point[name] ?? null) !== null)?.[name] ?? null;
}

/** The point with the least value under this name, the earliest of several; null where there is none. */
export function lowest(points, name) {
  return points.reduce((best, point) => ((point[name] ?? null) !== null && !(best?.[name] <= point[name]) ? point : best), null);
}

/**
 * Seconds left, from the steps that the newest points took; null while that is not known.
 * Standing still slows the measured rate, and ten silent minutes end the guess.
 */
export function secondsLeft(points, { currentStep, totalSteps }, now = Date.now()) {
  const window = points.slice(-50);
  if (window.length < 2 || currentStep >= totalSteps) return null;
  const [first, last] = [window[0], window.at(-1)];
  const from = Date.parse(first.timestamp);
  const silence = now - Date.parse(last.timestamp);
  const elapsed = (Math.max(now, Date.parse(last.timestamp)) - from) / 1000;
  const steps = last.step - first.step;
  if (steps <= 0 || elapsed <= 0 || Math.abs(silence) > 600_000) return null;
  return ((totalSteps - currentStep) * elapsed) / steps;
}
