// What happened to a job, oldest first, from the instants that the API keeps. Pure.

import { count, gpus, money } from "./format.js";
import { statusWord } from "./words.js";

/** `[{at, icon, what, why}]`; `at` is an instant as the API writes it. */
export function timeline(job, points) {
  const first = points[0];
  const ended = job.status.toLowerCase();
  const events = [
    [job.createdAt, "queued", "Asked for", job.presetId ? `from the preset ${job.presetId}` : ""],
    [job.submittedAt, "initializing", "Handed to the GPU cluster", ""],
    [job.startedAt, "running", "Accepted", `on ${gpus(job.gpuConfig)}; it costs money from here`],
    [first?.timestamp, "info", "First metrics", first && `at step ${count(first.step)}`],
    [job.contactLostSince, "warning", "No answer from the cluster", "since then"],
    [job.completedAt, ended, statusWord(job.status), job.status === "FAILED" ? (job.errorMessage ?? "") : ""],
    [job.releasingSince, "warning", "Release of the GPUs asked for", ""],
    [job.releasedAt, "release", "GPUs released", "confirmed by the cluster"],
    ...(job.costs.records ?? []).map((record) => [record.recordedAt, "info", "Booked", money(record.amount)]),
  ];
  return events
    .filter(([at]) => at)
    .map(([at, icon, what, why]) => ({ at, icon, what, why }))
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}
