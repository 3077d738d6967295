// What a person typed → TrainingConfigInput, or what is wrong with it, by the paths that the API uses too. Pure.

/** @typedef {"text" | "number" | "whole"} Kind */
/** @typedef {keyof import("./kinds.js").Hyperparameters} Name */

const WHOLE = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** @type {{name: Name, label: string, kind: Kind, hint: string}[]} */
export const HYPERPARAMETERS = [
  {
    name: "baseModel",
    label: "Base model",
    kind: "text",
    hint: "A model's hub name, or a folder the cluster can read.",
  },
  {
    name: "learningRate",
    label: "Learning rate",
    kind: "number",
    hint: "Above 0, at most 1. How far each step goes; 2e-4 is usual.",
  },
  {
    name: "batchSize",
    label: "Batch size",
    kind: "whole",
    hint: "1 to 1,024 pairs a step. Smaller needs less memory.",
  },
  { name: "numEpochs", label: "Epochs", kind: "whole", hint: "1 to 100. How often every pair is seen." },
  {
    name: "loraRank",
    label: "LoRA rank",
    kind: "whole",
    hint: "1 to 512. Size of the adapter; higher learns and needs more.",
  },
  {
    name: "loraAlpha",
    label: "LoRA alpha",
    kind: "whole",
    hint: "1 to 2,048. Weight of the adapter; twice the rank is usual.",
  },
  {
    name: "loraDropout",
    label: "LoRA dropout",
    kind: "number",
    hint: "0 to below 1. The share left out while training.",
  },
];

/**
 * `raw` holds strings: datasetId, presetId, gpuType, numGpus and one for each hyperparameter. What is empty is left
 * to the preset. Answers `{input, flaws}`; flaws are `{path, message}`, and the input is whole only without any.
 * @param {Partial<Record<Name | "datasetId" | "presetId" | "gpuType" | "numGpus", string>>} raw
 * @returns {{input: Partial<import("./kinds.js").TrainingInput>, flaws: import("./kinds.js").Flaw[]}}
 */
export function trainingInput(raw) {
  /** @type {import("./kinds.js").Flaw[]} */
  const flaws = [];
  /** @type {(path: string, kind: Kind, typed: string | undefined) => string | number | undefined} */
  const take = (path, kind, typed) => {
    const given = (typed ?? "").trim();
    if (given === "") return undefined;
    const [value, message] = parse(kind, given);
    if (message) flaws.push({ path, message });
    return value;
  };
  const hyperparameters = given(
    HYPERPARAMETERS.map(({ name, kind }) => [name, take(`hyperparameters.${name}`, kind, raw[name])]),
  );
  const input = given([
    ["datasetId", raw.datasetId || undefined],
    ["presetId", raw.presetId || undefined],
    ["hyperparameters", hyperparameters],
    ["gpuType", raw.gpuType || undefined],
    ["numGpus", take("numGpus", "whole", raw.numGpus)],
  ]);
  return { input, flaws };
}

/**
 * @param {Kind} kind
 * @param {string} typed
 * @returns {[value: string | number | undefined, message: string | null]}
 */
function parse(kind, typed) {
  if (kind === "text") return [typed, null];
  if (!(kind === "whole" ? WHOLE : NUMBER).test(typed)) {
    return [undefined, kind === "whole" ? "must be a whole number" : "must be a number, such as 0.05 or 2e-4"];
  }
  const value = Number(typed);
  if (!Number.isFinite(value) || (kind === "whole" && Math.abs(value) > 2 ** 31 - 1))
    return [undefined, "is too large"];
  return [value, null];
}

/** @param {[string, unknown][]} entries */
function given(entries) {
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** A fresh key for one intent to start. `randomUUID` exists in secure contexts only, random bytes everywhere. */
export function freshKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
