// Jobs side by side: what differs between them, what came of each, and their curves over one axis. Pure.

import { count, duration, exact, gpus, loss, money, percent, ranFor } from "./format.js";
import { lowest as leastPoint, newest } from "./series.js";
import { isActive, statusWord } from "./words.js";

/** @typedef {import("./kinds.js").ComparedJob} Job */
/** @typedef {import("./kinds.js").Figure} Figure */
/** @typedef {[name: string, read: (job: Job) => string, measure?: (job: Job) => number | null]} Line `measure`: the least of them is best */
/** @typedef {{name: string, values: string[], best: number | null}} Row `best`: whose value is the lowest */

export const LETTERS = ["A", "B", "C", "D", "E"];

/** @type {Line[]} */
const SETTINGS = [
  ["Dataset", ({ dataset }) => dataset.name],
  ["Base model", ({ hyperparameters: h }) => h.baseModel],
  ["Learning rate", ({ hyperparameters: h }) => exact(h.learningRate)],
  ["Batch size", ({ hyperparameters: h }) => count(h.batchSize)],
  ["Epochs", ({ hyperparameters: h }) => count(h.numEpochs)],
  ["LoRA rank", ({ hyperparameters: h }) => count(h.loraRank)],
  ["LoRA alpha", ({ hyperparameters: h }) => exact(h.loraAlpha)],
  ["LoRA dropout", ({ hyperparameters: h }) => exact(h.loraDropout)],
  ["GPUs", ({ gpuConfig }) => gpus(gpuConfig)],
  ["Price per GPU", ({ gpuConfig }) => `${money(gpuConfig.costPerGpuHour)} / hour`],
];
/** @type {Line[]} */
const RESULTS = [
  ["Status", ({ status }) => statusWord(status)],
  ["Progress", ({ progress }) => percent(progress)],
  ["Training loss", (job) => loss(newest(job.metrics, "trainingLoss")), (job) => newest(job.metrics, "trainingLoss")],
  [
    "Validation loss",
    (job) => loss(newest(job.metrics, "validationLoss")),
    (job) => newest(job.metrics, "validationLoss"),
  ],
  [
    "Lowest validation loss",
    (job) => loss(leastPoint(job.metrics, "validationLoss")?.validationLoss),
    (job) => leastPoint(job.metrics, "validationLoss")?.validationLoss ?? null,
  ],
  ["Ran for", (job) => duration(ranFor(job)), (job) => ranFor(job)],
  ["Cost", ({ costs }) => money(costs.final ?? costs.current), ({ costs }) => Number(costs.final ?? costs.current)],
];

/**
 * `{rows, alike}`: a row is `{name, values, best}`, `best` the index of the lowest value once all have ended, else null;
 * settings that differ come first.
 * @param {Job[]} jobs
 * @returns {{rows: Row[], alike: Row[]}}
 */
export function sideBySide(jobs) {
  const ended = !jobs.some(isActive);
  const settings = SETTINGS.map(([name, read]) => ({ name, values: jobs.map(read), best: null }));
  const results = RESULTS.map(([name, read, measure]) => ({
    name,
    values: jobs.map(read),
    best: measure && ended ? lowest(jobs.map(measure)) : null,
  }));
  /** @param {Row} row */
  const differs = ({ values }) => new Set(values).size > 1;
  return { rows: [...settings.filter(differs), ...results], alike: settings.filter((row) => !differs(row)) };
}

/**
 * Where the money went: `{cost, loss}` of each job, the loss on data not trained on where there is one for all.
 * @param {Job[]} jobs
 */
export function bargains(jobs) {
  const name = jobs.every(({ metrics }) => newest(metrics, "validationLoss") !== null)
    ? "validationLoss"
    : "trainingLoss";
  return {
    name,
    points: jobs.map(({ costs, metrics }) => ({
      cost: Number(costs.final ?? costs.current),
      loss: newest(metrics, name),
    })),
  };
}

/**
 * One x for all: the steps, or the seconds since each began. `[x, ...names of the first job, ...names of the second, …]`.
 * @param {Job[]} jobs
 * @param {Figure[]} names
 * @returns {[number[], ...import("./kinds.js").Column[]]}
 */
export function overlaid(jobs, names, { byTime = false } = {}) {
  /** @type {(job: Job) => (point: import("./kinds.js").Point) => number} */
  const place = (job) => (point) =>
    byTime ? Math.max(0, (Date.parse(point.timestamp) - began(job)) / 1000) : point.step;
  const axis = [...new Set(jobs.flatMap((job) => job.metrics.map(place(job))))].sort((a, b) => a - b);
  const index = new Map(axis.map((x, i) => [x, i]));
  const columns = jobs.flatMap((job) =>
    names.map((name) => {
      /** @type {(number | null | undefined)[]} */
      const column = new Array(axis.length).fill(undefined); // no point here, the line goes on
      for (const point of job.metrics)
        if (point[name] !== null) column[index.get(place(job)(point)) ?? 0] = point[name];
      return column;
    }),
  );
  return [axis, ...columns];
}

/**
 * The value of a column at `i`, or the last before it; null: the newest.
 * @param {import("./kinds.js").Column} column
 * @param {number | null} i
 */
export function valueUpTo(column, i) {
  return column.slice(0, (i ?? column.length) + 1).findLast((value) => (value ?? null) !== null) ?? null;
}

/** @param {Job} job */
function began({ startedAt, createdAt, metrics }) {
  return Date.parse(startedAt ?? metrics[0]?.timestamp ?? createdAt);
}

/** @param {(number | null)[]} values */
function lowest(values) {
  const known = values.flatMap((value) => value ?? []);
  if (known.length < 2 || known.every((value) => value === known[0])) return null;
  return values.indexOf(Math.min(...known));
}
