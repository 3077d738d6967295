// One door to the GraphQL API. Three things can go wrong, and each has its own error:
// the API is away (ask again later), nobody is signed in (any more), or it refused the question.

import { refuse, token } from "./session.js";
import { earliest } from "./signals.js";
import { isNamed } from "./thrown.js";

/** @typedef {typeof import("./documents.js")} Documents */
/** @template D @typedef {{[N in keyof Documents]: Documents[N] extends D ? N : never}[keyof Documents]} NameOf */
/** @template D @typedef {import("shapes").Answers[NameOf<D>]} Answer what the API answers to this document */
/** @template D @typedef {import("shapes").Variables[NameOf<D>]} Variables */
/** @typedef {{signal?: AbortSignal}} Options */
/** @typedef {RequestInit & {headers: Record<string, string>}} Request */

const ENDPOINT = "/graphql";
const DEADLINE_MS = 15_000;
const REMEMBERED = 20;

/** No answer worth reading: the network, a deadline, 429 or 5xx. `retryAfter` in seconds, 0 when not said. */
export class ApiAway extends Error {
  away = true;
  /** @param {string} message */
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
/** @type {Map<string, {etag: string, data: unknown, token: string}>} */
const remembered = new Map();

/**
 * Asks once by POST and gives back `data`.
 * @template {string} D
 * @param {D} document
 * @param {Variables<D>} [variables]
 * @param {Options} [options]
 * @returns {Promise<Answer<D>>}
 */
export function graphql(document, variables, { signal } = {}) {
  const body = JSON.stringify({ query: compact(document), variables: variables ?? {} });
  return send(ENDPOINT, { method: "POST", headers: { "Content-Type": "application/json" }, body }, signal);
}

/**
 * Asks a query by GET, so that an unchanged answer costs a 304: for what is asked over and over.
 * @template {string} D
 * @param {D} document
 * @param {Variables<D>} [variables]
 * @param {Options} [options]
 * @returns {Promise<Answer<D>>}
 */
export function poll(document, variables, { signal } = {}) {
  const question = new URLSearchParams({ query: compact(document), variables: JSON.stringify(variables ?? {}) });
  return send(`${ENDPOINT}?${question}`, { method: "GET", headers: {}, cache: "no-store" }, signal);
}

/**
 * @template A
 * @param {string} url
 * @param {Request} options
 * @param {AbortSignal} [signal]
 * @returns {Promise<A>}
 */
async function send(url, options, signal) {
  const known = token();
  if (!known) throw new SignedOut("Nobody is signed in.");
  const earlier = options.method === "GET" ? remembered.get(url) : undefined;
  const response = await answer(url, {
    ...options,
    signal: earliest(AbortSignal.timeout(DEADLINE_MS), ...(signal ? [signal] : [])),
    redirect: "error",
    headers: {
      ...options.headers,
      Accept: "application/graphql-response+json, application/json;q=0.9",
      Authorization: `Bearer ${known}`,
      ...(earlier?.token === known && { "If-None-Match": earlier.etag }),
    },
  });
  signal?.throwIfAborted();
  if (response.status === 304 && earlier) return /** @type {A} */ (earlier.data);
  if (response.status === 401) {
    if (token() === known) refuse();
    throw new SignedOut("The session has ended.");
  }
  if (response.status === 429 || response.status >= 500) {
    throw new ApiAway(`The API answered ${response.status}.`, Number(response.headers.get("Retry-After")) || 0);
  }
  const data = /** @type {A} */ (read(await json(response), response.status));
  const etag = response.headers.get("ETag");
  if (options.method === "GET" && etag) remember(url, { etag, data, token: known });
  return data;
}

/**
 * @param {string} url
 * @param {RequestInit} options
 */
async function answer(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (isNamed(error, "AbortError")) throw error;
    throw new ApiAway(
      isNamed(error, "TimeoutError") ? "The API did not answer in time." : "The API cannot be reached.",
    );
  }
}

/** @param {Response} response */
async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (isNamed(error, "AbortError")) throw error;
    throw new ApiAway(`The API answered ${response.status} without a readable body.`);
  }
}

/**
 * @param {{data?: unknown, errors?: {message: string}[]}} answer
 * @param {number} status
 */
function read({ data, errors }, status) {
  if (errors?.length) throw new ApiError(errors.map(({ message }) => message).join(" "));
  if (!data) throw new ApiError(`The API answered ${status} without data.`);
  return data;
}

/**
 * @param {string} url
 * @param {{etag: string, data: unknown, token: string}} entry
 */
function remember(url, entry) {
  remembered.delete(url);
  remembered.set(url, entry);
  const [oldest] = remembered.keys();
  if (remembered.size > REMEMBERED) remembered.delete(oldest);
}

/**
 * A document without its indentation: shorter in an address, the same in meaning.
 * @param {string} document
 */
function compact(document) {
  return document.replace(/\s+/g, " ").trim();
}
