// The first lines of a training file as the server will read them: pairs to look at, and what is wrong in which line.
// Pure. Nothing is called wrong here that the server would take; it checks every line, and says more.

const MOST_FLAWS = 5;

/**
 * `{pairs, flaws}` of the beginning of a file; `whole`: the text is all there is of it. A pair is `{line, prompt,
 * completion}` as people read it, a flaw `{line, message}`.
 */
export function preview(text, { whole = true, most = 3 } = {}) {
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  if (!whole) lines.pop(); // cut in the middle
  const pairs = [];
  const flaws = [];
  let format = null;
  for (const [i, raw] of lines.entries()) {
    if (raw.trim() === "" || flaws.length === MOST_FLAWS) continue;
    const found = read(raw, i === 0);
    if (typeof found === "string") flaws.push({ line: i + 1, message: found });
    else if (format && found.format !== format) flaws.push({ line: i + 1, message: "A file has one format; the lines before have another." });
    else if (pairs.length < most) pairs.push({ line: i + 1, prompt: found.prompt, completion: found.completion });
    format ??= found.format ?? null;
  }
  if (whole && lines.every((raw) => raw.trim() === "")) flaws.push({ line: 1, message: "The file is empty." });
  return { pairs, flaws };
}

function read(raw, isFirst) {
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

function fromPair(value) {
  if (!("prompt" in value) && !("completion" in value)) return "Neither “prompt” and “completion” nor “messages” are there.";
  for (const name of ["prompt", "completion"]) {
    if (!(name in value)) return `“${name}” is missing.`;
    if (typeof value[name] !== "string") return `“${name}” is not text.`;
  }
  if (value.completion === "") return "“completion” is empty: there is nothing to learn.";
  return { format: "pairs", prompt: value.prompt, completion: value.completion };
}

function fromMessages(messages) {
  if (!Array.isArray(messages)) return "“messages” is not an array.";
  if (!messages.every((one) => typeof one?.role === "string" && typeof one.content === "string")) {
    return "Every message needs a “role” and a “content” that are text.";
  }
  const answer = messages.findLastIndex(({ role, content }) => role === "assistant" && content !== "");
  if (answer < 0) return "“messages” holds no answer of the assistant: there is nothing to learn.";
  const before = messages.slice(0, answer).map(({ role, content }) => `${role}: ${content}`);
  return { format: "messages", prompt: before.join("\n"), completion: messages[answer].content };
}
