// What the six statuses look like and what they let a page conclude. One row each: word, icon, still going.

import { attribute, clone, icon, part, text } from "./dom.js";

export const STATUSES = {
  QUEUED: { word: "Queued", active: true },
  INITIALIZING: { word: "Initializing", active: true },
  RUNNING: { word: "Running", active: true },
  COMPLETED: { word: "Completed", active: false },
  FAILED: { word: "Failed", active: false },
  CANCELLED: { word: "Cancelled", active: false },
};

const known = (status) => STATUSES[status] ?? { word: status, active: false };

/** Whether the job can still be cancelled. */
export function isActive({ status }) {
  return known(status).active;
}

/** Whether anything about the job may still change: it goes on, or its GPUs are not yet given back. */
export function isMoving(job) {
  return isActive(job) || job.release === "RELEASING";
}

export function statusWord(status) {
  return known(status).word;
}

/** Draws the badge into `slot`, or brings the one there up to date. */
export function badge(slot, status) {
  if (!slot.firstElementChild) slot.append(clone("badge"));
  const node = slot.firstElementChild;
  const name = status.toLowerCase();
  attribute(node, "data-status", name);
  icon(node, name);
  text(part(node, "badge-text"), statusWord(status));
}
