// Two to five jobs side by side: how they differ, their curves over one another, and what the loss cost.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { LETTERS, sideBySide } from "../compared.js";
import { attribute, clone, first, part, text } from "../dom.js";
import { COMPARED_JOB } from "../documents.js";
import { isOutgrown, readOn } from "../following.js";
import { comparedIds, LEAST } from "../picks.js";
import { poll } from "../poll.js";
import { badge } from "../status.js";
import { setTitle } from "../title.js";
import { isMoving } from "../words.js";
import { drawScatter } from "./compare-scatter.js";
import { notice } from "./notice.js";

/** @typedef {import("../kinds.js").ComparedJob} Job */

/** @type {import("../kinds.js").View} */
export async function mountComparison({ root, url, signal }) {
  const ids = comparedIds(url);
  setTitle("Comparison");
  if (ids.length < LEAST)
    return notice(root, "Nothing to compare", "Tick two to five jobs of the list, then press Compare.");
  root.append(clone("loading"));
  /** @type {(Job | null)[]} */
  let known = ids.map(() => null);
  /** @type {ReturnType<typeof mountPage> | null} */
  let draw = null;

  const look = async () => {
    const asked = Promise.all(ids.map((id, i) => newest(id, known[i], signal)));
    const [answers, charts] = await Promise.all([asked, import("./compare-charts.js")]); // made ready meanwhile
    known = answers;
    const jobs = known.flatMap((job) => job ?? []);
    if (jobs.length < ids.length) {
      notice(root, "Job not found", "One of these jobs does not exist, or it is not yours.");
      return false;
    }
    draw ??= mountPage(root, charts, jobs, signal);
    draw(jobs);
    return jobs.some(isMoving);
  };
  await poll(look, { signal, onAway: showAway, onBack: hideAway });
}

/**
 * A job as it is now: read on while it moves, and whole when nothing is known of it, at its end, or where that is too little.
 * @param {string} id
 * @param {Job | null} before
 * @param {AbortSignal} signal
 */
async function newest(id, before, signal) {
  if (before && !isMoving(before)) return before;
  const job = before && (await readOn(before, signal));
  if (before && job && isMoving(job) && !isOutgrown(before, job)) return job;
  return (await ask(COMPARED_JOB, { id }, { signal })).job;
}

/**
 * @param {HTMLElement} root
 * @param {typeof import("./compare-charts.js")} charts
 * @param {Job[]} jobs
 * @param {AbortSignal} signal
 */
function mountPage(root, { mountOverlay }, jobs, signal) {
  const hadFocus = root.contains(document.activeElement) || document.activeElement?.id === "main";
  root.replaceChildren(clone("compare"));
  text(part(root, "title"), `${jobs.length} jobs compared`);
  const drawCharts = mountOverlay(root, jobs.length, signal);
  if (hadFocus) first(root, "h1").focus({ preventScroll: true });
  return (/** @type {Job[]} */ fresh) => {
    drawTable(root, fresh);
    drawCharts(fresh);
    drawScatter(root, fresh);
  };
}

/**
 * @param {HTMLElement} root
 * @param {Job[]} jobs
 */
function drawTable(root, jobs) {
  const heads = jobs.map((job, i) => {
    const head = clone("versus-head");
    part(head, "swatch").style.background = `var(--chart-${i + 1})`;
    text(part(head, "link"), `${LETTERS[i]} · ${job.dataset.name}`);
    attribute(part(head, "link"), "href", `/training/jobs/${encodeURIComponent(job.id)}`);
    attribute(part(head, "link"), "title", `${job.dataset.name}, ${job.id}`);
    text(part(head, "origin"), [job.presetId, job.id.slice(0, 8)].filter(Boolean).join(" · "));
    badge(part(head, "status"), job.status);
    return head;
  });
  const { rows, alike } = sideBySide(jobs);
  part(root, "heads").replaceChildren(first(part(root, "heads"), "td"), ...heads);
  part(root, "rows").replaceChildren(
    ...rows
      .filter(({ name }) => name !== "Status")
      .map(({ name, values, best }) => {
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        text(head, name);
        row.append(head, ...values.map((value, i) => cell(value, i === best)));
        return row;
      }),
  );
  text(
    part(root, "alike"),
    alike.length ? `The same for all: ${alike.map(({ name, values }) => `${name} ${values[0]}`).join(", ")}.` : "",
  );
}

/**
 * @param {string} value
 * @param {boolean} best
 */
function cell(value, best) {
  const node = document.createElement("td");
  node.className = best ? "number best" : "number";
  const shown = document.createElement("span");
  shown.className = "clamp";
  text(shown, value);
  node.append(shown);
  if (best) attribute(node, "title", "The lowest");
  return node;
}
