// The two tabs of plain facts: how the job was configured, and what it is called, when it happened, what it cost.

import { attribute, clone, fill, part, text } from "../dom.js";
import { count, duration, exact, localTime, money, utcTime } from "../format.js";

const COSTS = { training_compute: "Training", release_overrun: "GPU time after the cancel" };

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
  const ran = job.startedAt && job.completedAt && (Date.parse(job.completedAt) - Date.parse(job.startedAt)) / 1000;
  facts(part(root, "time-facts"), [
    ["Created", job.createdAt, { time: true }],
    ["Started", job.startedAt, { time: true }],
    ["Ended", job.completedAt, { time: true }],
    ["Ran for", duration(ran || null)],
    ["Last contact", job.lastContactAt, { time: true }],
  ]);
  drawCosts(root, job.costs.records ?? []);
}

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

/** Fills a list of facts, `[name, value, {copy, time}]`, keeping its elements, so that a focused copy button stays. */
function facts(list, rows) {
  while (list.children.length < rows.length) list.append(clone("fact"));
  rows.forEach(([name, value, { copy = false, time = false } = {}], i) => {
    const row = list.children[i];
    text(row.querySelector("dt"), name);
    const shown = part(row, "value");
    text(shown, time ? localTime(value) : (value ?? "–"));
    shown.className = copy && value ? "mono" : "";
    attribute(shown, "title", time ? utcTime(value) || null : null);
    drawCopy(row, copy ? value : null, name);
  });
}

function drawCopy(row, value, name) {
  let button = row.querySelector(".copy");
  if (!value) return button?.remove();
  if (!button) {
    button = clone("copy");
    attribute(button, "aria-label", `Copy ${name.toLowerCase()}`);
    button.addEventListener("click", () => copy(button));
    row.querySelector("dd").append(button);
  }
  button.dataset.value = value;
}

async function copy(button) {
  const use = button.querySelector("use");
  try {
    await navigator.clipboard.writeText(button.dataset.value);
    attribute(use, "href", "#icon-check");
  } catch {
    getSelection().selectAllChildren(part(button.closest("div"), "value")); // no clipboard: leave it selected
  }
  setTimeout(() => attribute(use, "href", "#icon-copy"), 1_500);
}

function stamp(node, iso) {
  attribute(node, "datetime", iso);
  attribute(node, "title", utcTime(iso));
}
