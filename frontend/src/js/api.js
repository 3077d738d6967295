// One door to the GraphQL API. Three things can go wrong, and each has its own error:
// the API is away (ask again later), nobody is signed in (any more), or it refused the question.

import { refuse, token } from "./session.js";

const ENDPOINT = "/graphql";
const DEADLINE_MS = 15_000;
const REMEMBERED = 20;

/** No answer worth reading: the network, a deadline, 429 or 5xx. `retryAfter` in seconds, 0 when not said. */
export class ApiAway extends Error {
  away = true;
  constructor(message, retryAfter = 0) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** The token is missing, wrong or has run out. */
export class SignedOut extends Error {}

/** The API answered and said no. */
export class ApiError extends Error {}

/** ETag and answer of the newest conditional questions, by their URL. */
const remembered = new Map();

/** Asks once by POST and gives back `data`. */
export function graphql(document, variables = {}, { signal } = {}) {
  const body = JSON.stringify({ query: compact(document), variables });
  return send(ENDPOINT, { method: "POST", headers: { "Content-Type": "application/json" }, body }, signal);
}

/** Asks a query by GET, so that an unchanged answer costs a 304: for what is asked over and over. */
export function poll(document, variables = {}, { signal } = {}) {
  const question = new URLSearchParams({ query: compact(document), variables: JSON.stringify(variables) });
  return send(`${ENDPOINT}?${question}`, { method: "GET", headers: {}, cache: "no-store" }, signal);
}

async function send(url, options, signal) {
  const known = token();
  if (!known) throw new SignedOut("Nobody is signed in.");
  const earlier = options.method === "GET" ? remembered.get(url) : undefined;
  const response = await answer(url, {
    ...options,
    signal: AbortSignal.any([AbortSignal.timeout(DEADLINE_MS), ...(signal ? [signal] : [])]),
    redirect: "error",
    headers: {
      ...options.headers,
      Accept: "application/graphql-response+json, application/json;q=0.9",
      Authorization: `Bearer ${known}`,
      ...(earlier?.token === known && { "If-None-Match": earlier.etag }),
    },
  });
  signal?.throwIfAborted();
  if (response.status === 304 && earlier) return earlier.data;
  if (response.status === 401) {
    if (token() === known) refuse();
    throw new SignedOut("The session has ended.");
  }
  if (response.status === 429 || response.status >= 500) {
    throw new ApiAway(`The API answered ${response.status}.`, Number(response.headers.get("Retry-After")) || 0);
  }
  const data = read(await json(response), response.status);
  const etag = response.headers.get("ETag");
  if (options.method === "GET" && etag) remember(url, { etag, data, token: known });
  return data;
}

async function answer(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiAway(error.name === "TimeoutError" ? "The API did not answer in time." : "The API cannot be reached.");
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiAway(`The API answered ${response.status} without a readable body.`);
  }
}

function read({ data, errors }, status) {
  if (errors?.length) throw new ApiError(errors.map(({ message }) => message).join(" "));
  if (!data) throw new ApiError(`The API answered ${status} without data.`);
  return data;
}

function remember(url, entry) {
  remembered.delete(url);
  remembered.set(url, entry);
  if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value);
}

/** A document without its indentation: shorter in an address, the same in meaning. */
function compact(document) {
  return document.replace(/\s+/g, " ").trim();
}
