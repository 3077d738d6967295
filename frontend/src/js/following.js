// Keeping up with a job: after the whole of it, only what may have changed, and the points after the last one known.

import { poll as ask } from "./api.js";
import { JOB_UPDATE } from "./documents.js";
import { lastStep, mergePoints } from "./series.js";

/** @typedef {import("./kinds.js").ComparedJob | import("./kinds.js").Job} Known */

const DELTA = 500; // points of one update; as many again mean that there are more
const HELD = 5_000; // points in memory before the server is asked to thin them

/**
 * `known` as it is now; null when it exists no more.
 * @template {Known} J
 * @param {J} known
 * @param {AbortSignal} signal
 * @returns {Promise<J | null>}
 */
export async function readOn(known, signal) {
  const asked = { id: known.id, afterStep: lastStep(known.metrics), last: DELTA };
  const { job } = await ask(JOB_UPDATE, asked, { signal });
  if (!job) return null;
  const metrics = mergePoints(known.metrics, job.metrics);
  return { ...known, ...job, costs: { ...known.costs, ...job.costs }, metrics };
}

/**
 * Whether the points of a job that was read on are not all there, or so many that it should be read whole again.
 * @param {Known} before
 * @param {Known} after
 */
export function isOutgrown(before, after) {
  return after.metrics.length - before.metrics.length >= DELTA || after.metrics.length > HELD;
}
