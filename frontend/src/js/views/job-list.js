// The jobs, newest first. Filter and page stand in the address; the list is asked again while anything in it moves.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { attribute, clone, fill, meter, part, text } from "../dom.js";
import { JOBS } from "../documents.js";
import { ago, count, gpus, localTime, money, percent, utcTime } from "../format.js";
import { lookedAtAgain, poll } from "../poll.js";
import { badge, isMoving, STATUSES, statusWord } from "../status.js";

const PAGE = 20;

export async function mountJobList({ root, url, signal, navigate }) {
  document.title = "Training jobs · lora-pipeline";
  const asked = url.searchParams.get("status");
  const status = asked in STATUSES ? asked : null;
  const after = url.searchParams.get("after");
  const earlier = history.state?.earlier ?? []; // the cursors of the newer pages, nearest last
  root.append(clone("job-list"));
  drawFilters(root, status);
  part(root, "rows").replaceChildren(...Array.from({ length: 5 }, () => clone("job-skeleton")));

  let page = null;
  const go = (cursor, stack) => {
    const query = new URLSearchParams({ ...(status && { status }), ...(cursor && { after: cursor }) });
    navigate(`${url.pathname}${query.size ? `?${query}` : ""}`, { state: { earlier: stack } });
  };
  part(root, "older").addEventListener("click", () => go(page.pageInfo.endCursor, [...earlier, after ?? ""]));
  part(root, "newer").addEventListener("click", () => go(earlier.at(-1) || null, earlier.slice(0, -1)));

  const look = async () => {
    const variables = { first: PAGE, after, status: status && [status] };
    page = (await ask(JOBS, variables, { signal })).jobs;
    draw(root, page, { status, after, earlier });
    return page.nodes.some(isMoving);
  };
  while (!signal.aborted) {
    await poll(look, { signal, onAway: showAway, onBack: hideAway });
    await lookedAtAgain(signal);
  }
}

function drawFilters(root, chosen) {
  const chips = [null, ...Object.keys(STATUSES)].map((status) => {
    const chip = document.createElement("a");
    chip.href = status ? `/training/jobs?status=${status}` : "/training/jobs";
    chip.dataset.keep = "";
    chip.className = "chip";
    attribute(chip, "aria-current", status === chosen ? "true" : null);
    text(chip, status ? statusWord(status) : "All");
    return chip;
  });
  part(root, "filters").replaceChildren(...chips);
}

function draw(root, { nodes, totalCount, pageInfo }, { status, after, earlier }) {
  const empty = nodes.length === 0 && !after;
  const word = status ? `${statusWord(status).toLowerCase()} ` : "";
  text(part(root, "total"), empty ? "" : `${count(totalCount)} ${word}${totalCount === 1 ? "job" : "jobs"}`);
  attribute(part(root, "list"), "aria-busy", "false");
  part(root, "list").hidden = nodes.length === 0;
  part(root, "empty").hidden = !(empty && !status);
  part(root, "filters").hidden = empty && !status;
  part(root, "no-match").hidden = !((empty && status) || (nodes.length === 0 && after));
  text(part(root, "no-match-title"), after ? "There are no older jobs." : `No ${word}jobs.`);
  drawRows(part(root, "rows"), nodes);

  const before = earlier.length * PAGE;
  part(root, "pager").hidden = !after && !pageInfo.hasNextPage;
  part(root, "newer").disabled = !after;
  part(root, "older").disabled = !pageInfo.hasNextPage;
  const known = !after || earlier.length > 0;
  const range = `${count(before + 1)}–${count(before + nodes.length)} of ${count(totalCount)}`;
  text(part(root, "range"), known && nodes.length ? range : `${count(totalCount)} in all`);
}

/** Rows stay the same elements while their job is listed: no flicker, no lost focus. */
function drawRows(body, jobs) {
  const rows = new Map([...body.children].map((row) => [row.dataset.id, row]));
  const wanted = jobs.map((job) => {
    const row = rows.get(job.id) ?? clone("job-row");
    drawRow(row, job);
    return row;
  });
  for (const row of body.children) if (!wanted.includes(row)) row.classList.add("leaving");
  for (const row of body.querySelectorAll(".leaving")) row.remove();
  wanted.forEach((row, i) => body.children[i] !== row && body.insertBefore(row, body.children[i] ?? null));
}

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
  const { estimatedTotal, current, final } = job.costs;
  const active = STATUSES[job.status]?.active;
  fill(row, {
    link: job.dataset.name,
    preset: [job.presetId, job.id.slice(0, 8)].filter(Boolean).join(" · "),
    stage: remark(job),
    progress: percent(job.progress),
    gpus: gpus(job.gpuConfig),
    cost: money(final ?? current),
    estimate: active ? `Est. ${money(estimatedTotal)}` : "",
    created: ago(job.createdAt),
  });
  attribute(part(row, "created"), "datetime", job.createdAt);
  attribute(part(row, "created"), "title", `${localTime(job.createdAt)} (${utcTime(job.createdAt)})`);
}

function remark({ status, stage, stale, release }) {
  if (release === "RELEASING") return "Releasing the GPUs…";
  if (stale) return "No contact with the cluster";
  if (status === "RUNNING" && stage === "training") return "";
  return STATUSES[status]?.active ? (stage ?? "") : "";
}
