// Ask, wait for the answer, wait a while, ask again: one question at a time, ended by its AbortSignal.
// Slower while nobody looks, at once when somebody looks again, backing off while the API is away.

/** @typedef {{since: number, retryAt: number, message: string}} Outage since when the API is away, and when it is asked again */

export const ACTIVE_MS = 5_000;
export const HIDDEN_MS = 30_000;
const LONGEST_MS = 60_000;

/** Milliseconds until the next question. `retryAfter`: the server's own wish, in seconds. */
export function nextDelay({ failures = 0, hidden = false, retryAfter = 0, every = ACTIVE_MS } = {}) {
  const calm = hidden ? Math.max(every, HIDDEN_MS) : every;
  if (failures === 0) return calm;
  return Math.max(calm, retryAfter * 1000, Math.min(LONGEST_MS, every * 2 ** (failures - 1)));
}

/**
 * Calls `ask()` until it answers false ("nothing more will change") or `signal` aborts. A number is the least
 * milliseconds until the next question.
 * An error whose `away` is true is the API being away: `onAway(outage)` says so, `onBack()` ends it,
 * and the asking goes on. Any other error ends the asking and is thrown. Resolves when the asking has ended.
 * @param {() => Promise<boolean | number | void>} ask
 * @param {{
 *   signal?: AbortSignal, every?: number, immediately?: boolean, onAway?: (outage: Outage) => void, onBack?: () => void,
 * }} [options]
 */
export async function poll(ask, { signal, every = ACTIVE_MS, immediately = true, onAway, onBack } = {}) {
  let failures = 0;
  let since = 0;
  let wait = immediately ? 0 : nextDelay({ every, hidden: document.hidden });
  for (;;) {
    if (wait > 0) await rest(wait, signal);
    if (signal?.aborted) return;
    try {
      const more = await ask();
      if (signal?.aborted) return;
      if (failures > 0) onBack?.();
      failures = 0;
      if (more === false) return;
      wait = Math.max(nextDelay({ every, hidden: document.hidden }), typeof more === "number" ? more : 0);
    } catch (error) {
      if (signal?.aborted) return;
      if (!isAway(error)) throw error;
      since = failures === 0 ? Date.now() : since;
      failures += 1;
      wait = nextDelay({ failures, every, hidden: document.hidden, retryAfter: error.retryAfter });
      onAway?.({ since, retryAt: Date.now() + wait, message: error.message });
    }
  }
}

/**
 * Whether this is the API being away, rather than saying no.
 * @param {unknown} thrown
 * @returns {thrown is import("./api.js").ApiAway}
 */
export function isAway(thrown) {
  return thrown instanceof Error && "away" in thrown && thrown.away === true;
}

const RETRY = "poll:retry";

/** Ends every rest at once: somebody asked for it. */
export function retryNow() {
  document.dispatchEvent(new Event(RETRY));
}

/**
 * Resolves after `ms`, or at once when the tab is looked at again, the network returns, or `signal` aborts.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function rest(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
      document.removeEventListener(RETRY, done);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const onVisible = () => document.hidden || done();
    const timer = setTimeout(done, ms);
    document.addEventListener("visibilitychange", onVisible);
    document.addEventListener(RETRY, done);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
  });
}
