// The rows of the list. A row stays the same element while its job is listed: no flicker, no lost focus.

import { attribute, clone, fill, meter, part } from "../dom.js";
import { ago, gpus, localTime, loss, money, percent, utcTime } from "../format.js";
import { picks } from "../picks.js";
import { badge } from "../status.js";
import { isActive } from "../words.js";

/**
 * @param {HTMLTableSectionElement} body
 * @param {import("../kinds.js").ListedJob[]} jobs
 */
export function drawRows(body, jobs) {
  const rows = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const wanted = jobs.map((job) => {
    const row = rows.get(job.id) ?? clone("job-row");
    drawRow(row, job);
    return row;
  });
  for (const row of [...body.rows]) if (!wanted.includes(row)) row.remove();
  wanted.forEach((row, i) => body.rows[i] !== row && body.insertBefore(row, body.rows[i] ?? null));
}

/**
 * @param {HTMLTableRowElement} row
 * @param {import("../kinds.js").ListedJob} job
 */
function drawRow(row, job) {
  row.dataset.id = job.id;
  row.dataset.status = job.status.toLowerCase();
  const link = part(row, "link");
  attribute(link, "href", `/training/jobs/${encodeURIComponent(job.id)}`);
  attribute(link, "title", job.dataset.name);
  badge(part(row, "status"), job.status);
  attribute(part(row, "stage"), "title", remark(job) || null);
  meter(part(row, "bar"), job.progress);
  attribute(part(row, "bar"), "aria-label", `Progress of ${job.dataset.name}`);
  const pick = part(row, "pick");
  attribute(pick, "aria-label", `Compare ${job.dataset.name}, ${job.id.slice(0, 8)}`);
  pick.value = job.id;
  pick.checked = picks.has(job.id);
  const { estimatedTotal, current, final } = job.costs;
  fill(row, {
    link: job.dataset.name,
    preset: [job.presetId, job.id.slice(0, 8)].filter(Boolean).join(" · "),
    stage: remark(job),
    progress: percent(job.progress),
    loss: job.currentMetrics?.trainingLoss == null ? "" : `loss ${loss(job.currentMetrics.trainingLoss)}`,
    gpus: gpus(job.gpuConfig),
    cost: money(final ?? current),
    estimate: isActive(job) ? `Est. ${money(estimatedTotal)}` : "",
    created: ago(job.createdAt),
  });
  attribute(part(row, "created"), "datetime", job.createdAt);
  attribute(part(row, "created"), "title", `${localTime(job.createdAt)} (${utcTime(job.createdAt)})`);
}

/** @param {import("../kinds.js").ListedJob} job */
function remark(job) {
  if (job.release === "RELEASING") return "Releasing the GPUs…";
  if (job.stale) return "No contact with the cluster";
  if (job.status === "RUNNING" && job.stage === "training") return "";
  return isActive(job) ? (job.stage ?? "") : "";
}
