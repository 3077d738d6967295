// What a job is doing or waits for, in one sentence; "" when there is nothing to wait for. Pure.

import { duration } from "./format.js";

const LONG_MS = 60_000;

/**
 * @param {Pick<import("./kinds.js").Job, "status" | "stage" | "release" | "stale" | "createdAt">} job
 * @param {unknown[]} points
 */
export function waitsFor(job, points, now = Date.now()) {
  const stage = sentence(job.stage);
  if (job.release === "RELEASING") return "Waiting for the GPU cluster to confirm that its GPUs are free.";
  if (job.status === "QUEUED") {
    const waited = now - Date.parse(job.createdAt);
    if (waited < LONG_MS) return "Waiting for a worker to take it up.";
    return `No worker has taken it up for ${duration(waited / 1000)}. Is one running?`;
  }
  if (job.status === "INITIALIZING")
    return `${stage || "Being handed to the GPU cluster."} Waiting for it to accept the job.`;
  if (job.status !== "RUNNING") return "";
  if (job.stale) return "The training may go on: the cluster does not answer, and is asked again and again.";
  if (!points.length) return `${stage === "Training." ? "" : `${stage} `}Waiting for the first metrics.`;
  return stage === "Training." ? "" : stage;
}

/** @param {string | null} words */
function sentence(words) {
  if (!words) return "";
  const whole = `${words[0].toUpperCase()}${words.slice(1)}`;
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}
