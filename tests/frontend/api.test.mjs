// The one door to the API, against a fetch that answers as told.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const store = new Map();
globalThis.sessionStorage = {
  getItem: (key) => store.get(key) ?? null,
  setItem: (key, value) => store.set(key, value),
  removeItem: (key) => store.delete(key),
};
delete globalThis.BroadcastChannel; // Node would keep a channel, and with it the process, open
const { ApiAway, ApiError, SignedOut, graphql, poll } =
  await import("../../frontend/src/js/api.js");
const session = await import("../../frontend/src/js/session.js");

const answer = (status, body, headers = {}) =>
  new Response(body === undefined ? null : JSON.stringify(body), {
    status,
    headers,
  });

beforeEach(() => session.signIn("secret-token"));

test("a question carries the token and its variables, and gives back the data", async () => {
  globalThis.fetch = mock.fn(async () =>
    answer(200, { data: { viewer: { id: "dev" } } }),
  );
  assert.deepEqual(await graphql("query Q {\n  viewer { id }\n}", { a: 1 }), {
    viewer: { id: "dev" },
  });
  const [url, { method, headers, body }] = fetch.mock.calls[0].arguments;
  assert.equal(url, "/graphql");
  assert.equal(method, "POST");
  assert.equal(headers.Authorization, "Bearer secret-token");
  assert.deepEqual(JSON.parse(body), {
    query: "query Q { viewer { id } }",
    variables: { a: 1 },
  });
});

test("a poll of something unchanged costs a 304 and gives back what was known", async () => {
  const answers = [
    answer(200, { data: { n: 1 } }, { ETag: '"7"' }),
    answer(304),
    answer(200, { data: { n: 2 } }),
  ];
  globalThis.fetch = mock.fn(async () => answers.shift());
  assert.deepEqual(
    [
      await poll("query P { n }"),
      await poll("query P { n }"),
      await poll("query P { n }"),
    ],
    [{ n: 1 }, { n: 1 }, { n: 2 }],
  );
  const sent = fetch.mock.calls.map(
    ({ arguments: [, { headers }] }) => headers["If-None-Match"],
  );
  assert.deepEqual(sent, [undefined, '"7"', '"7"']);
});

test("what one person was told is never offered to the next", async () => {
  globalThis.fetch = mock.fn(async () =>
    answer(200, { data: { n: 1 } }, { ETag: '"9"' }),
  );
  await poll("query Other { n }");
  session.signIn("another-token");
  await poll("query Other { n }");
  assert.equal(
    fetch.mock.calls[1].arguments[1].headers["If-None-Match"],
    undefined,
  );
});

test("no network, 429 and 5xx are the API being away, with its own wish for the wait", async () => {
  globalThis.fetch = async () => Promise.reject(new TypeError("failed"));
  await assert.rejects(graphql("{ a }"), ApiAway);
  for (const status of [429, 500, 502, 503]) {
    globalThis.fetch = async () => answer(status, {}, { "Retry-After": "12" });
    await assert.rejects(
      graphql("{ a }"),
      (error) =>
        error instanceof ApiAway && error.away && error.retryAfter === 12,
    );
  }
  globalThis.fetch = async () => new Response("<html>", { status: 200 });
  await assert.rejects(graphql("{ a }"), ApiAway);
});

test("a 401 signs out and says so", async () => {
  globalThis.fetch = async () => answer(401, { errors: [{ message: "no" }] });
  const told = mock.fn();
  session.onSessionChange(told);
  await assert.rejects(graphql("{ a }"), SignedOut);
  assert.equal(session.token(), null);
  assert.equal(told.mock.callCount(), 1);
  await assert.rejects(graphql("{ a }"), SignedOut);
});

test("a refusal is told in the API's words", async () => {
  globalThis.fetch = async () =>
    answer(400, {
      errors: [{ message: "Too deep." }, { message: "Too wide." }],
    });
  await assert.rejects(
    graphql("{ a }"),
    (error) =>
      error instanceof ApiError && error.message === "Too deep. Too wide.",
  );
});

test("an aborted question is an AbortError, not an outage", async () => {
  const end = new AbortController();
  globalThis.fetch = (_url, { signal }) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason)),
    );
  const asked = graphql("{ a }", {}, { signal: end.signal });
  end.abort();
  await assert.rejects(asked, { name: "AbortError" });
});

test("the user's name is read from the token, whatever its alphabet", () => {
  const payload = Buffer.from(JSON.stringify({ sub: "dev|1@x" })).toString(
    "base64url",
  );
  assert.equal(session.userId(`h.${payload}.s`), "dev|1@x");
  assert.equal(session.userId("no token"), null);
  assert.equal(session.userId(null), null);
});
