// The first lines of a training file as the server will read them: pairs to look at, and what is wrong in which line.
// Pure. Nothing is called wrong here that the server would take; it checks every line, and says more.

/** @typedef {{format: string, prompt: string, completion: string}} Pair */

const MOST_FLAWS = 5;

/**
 * `{pairs, flaws}` of the beginning of a file; `whole`: the text is all there is of it. A pair is `{line, prompt,
 * completion}` as people read it, a flaw `{line, message}`.
 * @param {string} text
 */
export function preview(text, { whole = true, most = 3 } = {}) {
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  if (!whole) lines.pop(); // cut in the middle
  /** @type {{line: number, prompt: string, completion: string}[]} */
  const pairs = [];
  /** @type {{line: number, message: string}[]} */
  const flaws = [];
  /** @type {string | null} */
  let format = null;
  for (const [i, raw] of lines.entries()) {
    if (raw.trim() === "" || flaws.length === MOST_FLAWS) continue;
    const found = read(raw, i === 0);
    if (typeof found === "string") {
      flaws.push({ line: i + 1, message: found });
      continue;
    }
    if (format && found.format !== format)
      flaws.push({ line: i + 1, message: "A file has one format; the lines before have another." });
    else if (pairs.length < most) pairs.push({ line: i + 1, prompt: found.prompt, completion: found.completion });
    format ??= found.format;
  }
  if (whole && lines.every((raw) => raw.trim() === "")) flaws.push({ line: 1, message: "The file is empty." });
  return { pairs, flaws };
}

/**
 * The pair in a line, or what is wrong with it.
 * @param {string} raw
 * @param {boolean} isFirst
 * @returns {Pair | string}
 */
function read(raw, isFirst) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(raw);
  } catch {
    if (isFirst && /^[^{[]*[,;\t]/.test(raw)) return "This looks like CSV. One JSON object a line is needed.";
    return "This is not valid JSON.";
  }
  if (Array.isArray(value)) return "This is an array. The file must have one object a line.";
  if (typeof value !== "object" || value === null) return "This is not an object.";
  return "messages" in value ? fromMessages(value.messages) : fromPair(value);
}

/**
 * @param {{prompt?: unknown, completion?: unknown}} value
 * @returns {Pair | string}
 */
function fromPair(value) {
  if (!("prompt" in value) && !("completion" in value))
    return "Neither “prompt” and “completion” nor “messages” are there.";
  const { prompt, completion } = value;
  if (typeof prompt !== "string") return flaw("prompt", value);
  if (typeof completion !== "string") return flaw("completion", value);
  if (completion === "") return "“completion” is empty: there is nothing to learn.";
  return { format: "pairs", prompt, completion };
}

/**
 * @param {string} name
 * @param {object} value
 */
function flaw(name, value) {
  return name in value ? `“${name}” is not text.` : `“${name}” is missing.`;
}

/**
 * @param {unknown} messages
 * @returns {Pair | string}
 */
function fromMessages(messages) {
  if (!Array.isArray(messages)) return "“messages” is not an array.";
  if (!messages.every(isMessage)) {
    return "Every message needs a “role” and a “content” that are text.";
  }
  const answer = messages.findLastIndex(({ role, content }) => role === "assistant" && content !== "");
  if (answer < 0) return "“messages” holds no answer of the assistant: there is nothing to learn.";
  const before = messages.slice(0, answer).map(({ role, content }) => `${role}: ${content}`);
  return { format: "messages", prompt: before.join("\n"), completion: messages[answer].content };
}

/**
 * @param {unknown} one
 * @returns {one is {role: string, content: string}}
 */
function isMessage(one) {
  if (typeof one !== "object" || one === null || !("role" in one) || !("content" in one)) return false;
  return typeof one.role === "string" && typeof one.content === "string";
}
