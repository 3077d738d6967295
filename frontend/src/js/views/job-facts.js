// The two tabs of plain facts: how the job was configured, and what it is called, when it happened, what it cost.

import { wireCopy } from "../copying.js";
import { JOB } from "../documents.js";
import { attribute, clone, fill, first, icon, part, text } from "../dom.js";
import { count, duration, exact, localTime, money, ranFor, utcTime } from "../format.js";
import { timeline } from "../timeline.js";

/** @typedef {import("../kinds.js").Job} Job */

/** @type {Record<string, string>} */
const COSTS = { training_compute: "Training", release_overrun: "GPU time after the cancel" };

/**
 * @param {HTMLElement} root
 * @param {Job} job
 */
export function drawConfiguration(root, { hyperparameters: h, gpuConfig }) {
  facts(part(root, "hyperparameters"), [
    ["Base model", h.baseModel],
    ["Learning rate", exact(h.learningRate)],
    ["Batch size", count(h.batchSize)],
    ["Epochs", count(h.numEpochs)],
    ["LoRA rank", count(h.loraRank)],
    ["LoRA alpha", exact(h.loraAlpha)],
    ["LoRA dropout", exact(h.loraDropout)],
  ]);
  facts(part(root, "gpu-facts"), [
    ["GPU type", gpuConfig.gpuType],
    ["Number of GPUs", count(gpuConfig.numGpus)],
    ["Price per GPU", `${money(gpuConfig.costPerGpuHour)} / hour`],
    ["Total", `${money(gpuConfig.hourlyRate)} / hour`],
  ]);
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 */
export function drawInfo(root, job) {
  facts(part(root, "job-facts"), [
    ["Job id", job.id, { copy: true }],
    ["External id", job.externalJobId, { copy: true }],
    ["Dataset", job.dataset.name],
    ["Dataset id", job.dataset.id, { copy: true }],
    ["Training pairs", count(job.dataset.totalTrainingPairs)],
    ["Tokens", count(job.dataset.totalTokens)],
    ["Preset", job.presetId],
  ]);
  facts(part(root, "time-facts"), [
    ["Created", job.createdAt, { time: true }],
    ["Started", job.startedAt, { time: true }],
    ["Ended", job.completedAt, { time: true }],
    ["Ran for", duration(ranFor(job))],
    ["Last contact", job.lastContactAt, { time: true }],
  ]);
  drawTimeline(part(root, "timeline"), timeline(job));
  drawCosts(root, job.costs.records);
}

/**
 * The question that this page asks, to be asked elsewhere.
 * @param {HTMLElement} root
 * @param {string} id
 */
export function wireQuery(root, id) {
  const query = `${JOB.replace(/^ {2}/gm, "").trim()}\n`;
  const variables = JSON.stringify({ id }, null, 2);
  text(part(root, "query"), `${query}\n# variables: ${JSON.stringify({ id })}`);
  attribute(part(root, "open-query"), "href", `/graphql#${new URLSearchParams({ query, variables })}`);
  wireCopy(
    part(root, "copy-query"),
    () => part(root, "query").textContent ?? "",
    () => part(root, "query"),
  );
}

/**
 * @param {HTMLElement} list
 * @param {ReturnType<typeof timeline>} events
 */
function drawTimeline(list, events) {
  rowsOf(list, events.length, () => clone("event")).forEach((row, i) => {
    const { at, icon: name, what, why } = events[i];
    icon(row, name);
    row.dataset.status = name;
    fill(row, { what, why, when: localTime(at) });
    stamp(part(row, "when"), at);
  });
}

/**
 * @param {HTMLElement} root
 * @param {Job["costs"]["records"]} records
 */
function drawCosts(root, records) {
  part(root, "no-costs").hidden = records.length > 0;
  part(root, "cost-table").hidden = records.length === 0;
  const rows = records.map((record) => {
    const row = clone("cost-row");
    fill(row, {
      what: COSTS[record.costType] ?? record.costType,
      gpus: `${record.gpuCount}x ${record.gpuType}`,
      hours: record.durationHours.toFixed(4),
      amount: money(record.amount),
      recorded: localTime(record.recordedAt),
    });
    stamp(part(row, "recorded"), record.recordedAt);
    return row;
  });
  part(root, "cost-rows").replaceChildren(...rows);
}

/**
 * As many rows as are wanted, the same elements as before, so that a focused copy button stays.
 * @param {HTMLElement} list
 * @param {number} wanted
 * @param {() => HTMLElement} make
 */
function rowsOf(list, wanted, make) {
  while (list.children.length < wanted) list.append(make());
  while (list.children.length > wanted) list.lastElementChild?.remove();
  return /** @type {HTMLElement[]} */ ([...list.children]);
}

/**
 * Fills a list of facts.
 * @param {HTMLElement} list
 * @param {[name: string, value: string | null, shown?: {copy?: boolean, time?: boolean}][]} facts
 */
function facts(list, facts) {
  rowsOf(list, facts.length, () => clone("fact")).forEach((row, i) => {
    const [name, value, { copy = false, time = false } = {}] = facts[i];
    text(first(row, "dt"), name);
    const shown = part(row, "value");
    text(shown, time ? localTime(value) : (value ?? "–"));
    shown.className = copy && value ? "mono" : "";
    attribute(shown, "title", time ? utcTime(value) || null : null);
    drawCopy(row, copy ? value : null, name);
  });
}

/**
 * @param {HTMLElement} row
 * @param {string | null} value
 * @param {string} name
 */
function drawCopy(row, value, name) {
  const known = row.querySelector("button");
  if (!value) return known?.remove();
  const button = known ?? clone("copy");
  button.dataset.value = value;
  if (known) return;
  attribute(button, "aria-label", `Copy ${name.toLowerCase()}`);
  wireCopy(
    button,
    () => button.dataset.value ?? "",
    () => part(row, "value"),
  );
  first(row, "dd").append(button);
}

/**
 * @param {HTMLElement} node
 * @param {string} iso
 */
function stamp(node, iso) {
  attribute(node, "datetime", iso);
  attribute(node, "title", utcTime(iso));
}
