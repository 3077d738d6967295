// Where a running job is heading: when it will be done and what it will cost, and how that is known. Pure.

import { secondsLeft } from "./series.js";

/** @typedef {import("./kinds.js").Job} Job */

const WINDOW = 50; // of the newest points, as in series.js

/**
 * `{seconds, at, cost, steps}`: seconds left, the instant of the end, dollars as a decimal string, and over how many of
 * the newest points the pace was taken; null while nothing can be said.
 * @param {Job} job
 * @param {import("./kinds.js").Point[]} points
 */
export function outlook(job, points, now = Date.now()) {
  if (job.status !== "RUNNING" || job.stale) return null;
  const seconds = secondsLeft(points, job, now);
  if (seconds === null) return null;
  const cost = Number(job.costs.current) + (Number(job.gpuConfig.hourlyRate) * seconds) / 3600;
  return { seconds, at: now + seconds * 1000, cost: cost.toFixed(2), points: Math.min(WINDOW, points.length) };
}

/**
 * The cost of a whole training beside its estimate: "12% below the estimate"; "" where there is nothing to compare.
 * @param {Pick<Job, "status" | "costs">} job
 */
export function againstEstimate({ status, costs: { estimatedTotal, final } }) {
  if (status !== "COMPLETED") return "";
  const [estimated, paid] = [Number(estimatedTotal), Number(final)];
  if (!(estimated > 0)) return "";
  const percent = Math.round(Math.abs(100 * (paid / estimated - 1)));
  if (percent === 0) return "as estimated";
  return `${percent}% ${paid < estimated ? "below" : "above"} the estimate`;
}
