// What happened to a job, oldest first: its events, and what was booked. Pure.

import { money } from "./format.js";

/** @typedef {import("./kinds.js").Job} Job */
/** @typedef {{icon: string, what: string, why?: (detail: string) => string}} Kind */

/** @type {Partial<Record<Job["events"][number]["kind"], Kind>>} */
const EVENTS = {
  CREATED: { icon: "queued", what: "Asked for", why: (preset) => `from the preset ${preset}` },
  SUBMITTED: { icon: "initializing", what: "Handed to the GPU cluster" },
  ACCEPTED: { icon: "running", what: "Accepted", why: (gpus) => `on ${gpus}; it costs money from here` },
  FIRST_METRICS: { icon: "info", what: "First metrics", why: (step) => `at ${step}` },
  STALE: { icon: "warning", what: "No contact with the cluster", why: (reason) => reason },
  RECOVERED: { icon: "check", what: "The cluster answers again" },
  COMPLETED: { icon: "completed", what: "Completed" },
  FAILED: { icon: "failed", what: "Failed", why: (reason) => reason },
  CANCELLED: { icon: "cancelled", what: "Cancelled" },
  RELEASED: { icon: "release", what: "GPUs released" },
};

/**
 * `[{at, icon, what, why}]`; `at` is an instant as the API writes it.
 * @param {Pick<Job, "events" | "releasingSince" | "costs">} job
 */
export function timeline({ events, releasingSince, costs }) {
  const happened = events.map(({ at, kind, detail }) => {
    /** @type {Kind} */
    const { icon, what, why } = EVENTS[kind] ?? { icon: "info", what: kind };
    return { at, icon, what, why: why && detail !== null ? why(detail) : "" };
  });
  if (releasingSince)
    happened.push({ at: releasingSince, icon: "warning", what: "Release of the GPUs asked for", why: "" });
  for (const { recordedAt, amount } of costs.records)
    happened.push({ at: recordedAt, icon: "info", what: "Booked", why: money(amount) });
  return happened.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}
