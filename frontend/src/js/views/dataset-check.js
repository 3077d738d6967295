// Having a dataset checked, which may outlast a request, and the API: it is asked for until there is an answer.

import { graphql } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { COMPLETE_UPLOAD, DATASET_CHECK } from "../documents.js";
import { isAway, poll, rest } from "../poll.js";
import { earliest } from "../signals.js";

const EVERY_MS = 1_000;

/**
 * The dataset when it has been checked, or why it was not. Whoever asks again joins the check, or begins it anew after the
 * API's end. `onProgress` is told percent.
 * @param {string} id
 * @param {{onProgress: (percent: number) => void, signal: AbortSignal}} options
 */
export async function check(id, { onProgress, signal }) {
  const done = new AbortController();
  watch(id, onProgress, earliest(signal, done.signal));
  try {
    for (;;) {
      try {
        return (await graphql(COMPLETE_UPLOAD, { id }, { signal })).completeDatasetUpload;
      } catch (error) {
        if (!isAway(error)) throw error;
        await rest(1_000 * Math.max(1, error.retryAfter), signal);
      }
    }
  } finally {
    done.abort();
    hideAway();
  }
}

/**
 * @param {string} id
 * @param {(percent: number) => void} onProgress
 * @param {AbortSignal} signal
 */
async function watch(id, onProgress, signal) {
  const look = async () => {
    const { dataset } = await graphql(DATASET_CHECK, { id }, { signal });
    if (!signal.aborted && dataset && dataset.checked !== null) onProgress(dataset.checked);
  };
  const options = { signal, every: EVERY_MS, immediately: false, onAway: showAway, onBack: hideAway };
  await poll(look, options).catch(() => {}); // the check itself says what is wrong
}
