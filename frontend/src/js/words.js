// The six statuses: the word people read, and whether the job still goes on.

/** @type {Record<string, {word: string, active: boolean}>} */
export const STATUSES = {
  QUEUED: { word: "Queued", active: true },
  INITIALIZING: { word: "Initializing", active: true },
  RUNNING: { word: "Running", active: true },
  COMPLETED: { word: "Completed", active: false },
  FAILED: { word: "Failed", active: false },
  CANCELLED: { word: "Cancelled", active: false },
};

const known = (/** @type {string} */ status) => STATUSES[status] ?? { word: status, active: false };

/**
 * Whether the job can still be cancelled.
 * @param {{status: string}} job
 */
export function isActive({ status }) {
  return known(status).active;
}

/**
 * Whether anything about the job may still change: it goes on, or its GPUs are not yet given back.
 * @param {{status: string, release: string}} job
 */
export function isMoving(job) {
  return isActive(job) || job.release === "RELEASING";
}

/** @param {string} status */
export function statusWord(status) {
  return known(status).word;
}
