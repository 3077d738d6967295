// Polling with a clock of its own: nothing here waits.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import {
  ACTIVE_MS,
  HIDDEN_MS,
  nextDelay,
  poll,
  retryNow,
} from "../../frontend/src/js/poll.js";

class Page extends EventTarget {
  hidden = false;
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  globalThis.document = new Page();
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.removeEventListener = page.removeEventListener.bind(page);
});
afterEach(() => mock.timers.reset());

/** Lets every promise that is ready run on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));
const pass = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};
const away = () => Object.assign(new Error("away"), { away: true });

test("the interval is five seconds, thirty out of sight, and doubles up to a minute while the API is away", () => {
  assert.equal(nextDelay(), ACTIVE_MS);
  assert.equal(nextDelay({ hidden: true }), HIDDEN_MS);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 99].map((failures) => nextDelay({ failures })),
    [5e3, 1e4, 2e4, 4e4, 6e4, 6e4],
  );
  assert.equal(nextDelay({ failures: 1, retryAfter: 45 }), 45_000);
  assert.equal(nextDelay({ failures: 1, hidden: true }), HIDDEN_MS);
});

test("the next question waits for the answer to the one before", async () => {
  const answers = [];
  const asked = mock.fn(() => new Promise((resolve) => answers.push(resolve)));
  const end = new AbortController();
  poll(asked, { signal: end.signal });
  await pass(60_000);
  assert.equal(asked.mock.callCount(), 1);
  answers[0](true);
  await settle();
  await pass(ACTIVE_MS - 1);
  assert.equal(asked.mock.callCount(), 1);
  await pass(1);
  assert.equal(asked.mock.callCount(), 2);
  end.abort();
});

test("it ends when the answer says that nothing will change any more", async () => {
  const asked = mock.fn(async () => asked.mock.callCount() < 1);
  const ended = poll(asked, {});
  await settle();
  await pass(ACTIVE_MS);
  await ended;
  await pass(60_000);
  assert.equal(asked.mock.callCount(), 2);
});

test("it ends with its signal, also in the middle of a rest", async () => {
  const end = new AbortController();
  const asked = mock.fn(async () => true);
  const ended = poll(asked, { signal: end.signal });
  await settle();
  end.abort();
  await ended;
  await pass(60_000);
  assert.equal(asked.mock.callCount(), 1);
});

test("while the API is away it says since when, and it says when it is back", async () => {
  const answers = [away(), away(), true, false];
  const asked = mock.fn(async () => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const onAway = mock.fn();
  const onBack = mock.fn();
  const start = Date.now();
  poll(asked, { onAway, onBack });
  await settle();
  await pass(5_000);
  const told = onAway.mock.calls.map(({ arguments: [{ since, retryAt }] }) => [
    since - start,
    retryAt - start,
  ]);
  assert.deepEqual(told, [
    [0, 5_000],
    [0, 15_000],
  ]);
  await pass(10_000);
  assert.equal(onBack.mock.callCount(), 1);
  await pass(5_000);
  assert.equal(asked.mock.callCount(), 4);
  assert.equal(onBack.mock.callCount(), 1);
});

test("any other trouble ends it and is thrown", async () => {
  await assert.rejects(
    poll(async () => Promise.reject(new Error("refused")), {}),
    /refused/,
  );
});

test("looking at the tab again, or asking for it, asks at once", async () => {
  const end = new AbortController();
  const asked = mock.fn(async () => true);
  document.hidden = true;
  poll(asked, { signal: end.signal });
  await settle();
  await pass(ACTIVE_MS);
  assert.equal(asked.mock.callCount(), 1, "out of sight, it is slower");
  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.equal(asked.mock.callCount(), 2);
  retryNow();
  await settle();
  assert.equal(asked.mock.callCount(), 3);
  end.abort();
});
