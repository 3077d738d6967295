// More points of a job than the page holds: a stretch of steps sharper, or every one of them for a table.

import { graphql } from "./api.js";
import { METRICS_PART } from "./documents.js";

/** @typedef {import("./kinds.js").Point} Point */

const MOST = 1_000; // of one answer

/**
 * Up to a thousand points from step to step, thinned by the server where there are more.
 * @param {string} id
 * @param {[from: number, to: number]} steps
 * @param {AbortSignal} signal
 */
export async function stretch(id, [from, to], signal) {
  const { job } = await graphql(METRICS_PART, { id, from, to, most: MOST }, { signal });
  return job?.metrics ?? [];
}

/**
 * Every point: as many steps at a time as an answer has room for points, so that none is thinned.
 * @param {string} id
 * @param {number} lastStep
 * @param {AbortSignal} signal
 */
export async function everything(id, lastStep, signal) {
  /** @type {Point[]} */
  const points = [];
  for (let from = 0; from <= lastStep; from += MOST)
    points.push(...(await stretch(id, [from, from + MOST - 1], signal)));
  return points;
}
