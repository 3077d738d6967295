// One job, live. The whole of it is asked once; then only what changes and the points after the last step seen.
// When something has happened to it, it is read whole once more, with its events and books; ended, it is asked no longer.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { mountBoard } from "../charts/board.js";
import { announce, attribute, clone, first, part } from "../dom.js";
import { JOB, JOB_UPDATE } from "../documents.js";
import { refreshUnread } from "../notifications.js";
import { stretch } from "../points.js";
import { poll, retryNow } from "../poll.js";
import { lastStep, mergePoints } from "../series.js";
import { wireTabs } from "../tabs.js";
import { setTitle } from "../title.js";
import { isMoving, statusWord } from "../words.js";
import { wireCancel, wireCsv, wireDownload } from "./job-actions.js";
import { drawConfiguration, drawInfo, wireQuery } from "./job-facts.js";
import { drawHead } from "./job-head.js";
import { notice } from "./notice.js";

/** @typedef {import("../kinds.js").Job} Job */
/** @typedef {import("../kinds.js").Point} Point */

const DELTA = 500; // points of one update; as many again mean that there are more
const HELD = 5_000; // points in memory before the server is asked to thin them
/** @type {("status" | "release" | "stale")[]} */
const TURNS = ["status", "release", "stale"]; // what never changes without an event
const FEW = 100; // points: the server thins no history that short

/** @type {import("../kinds.js").View} */
export async function mountJobDetail({ root, signal, parameters: [id] }) {
  setTitle("Job");
  root.append(clone("loading"));
  /** @type {ReturnType<typeof mountPage> | null} */
  let page = null;
  /** @type {Job | null} */
  let job = null;
  /** @type {Point[]} */
  let points = [];
  let whole = true;

  const read = async () => (await ask(JOB, { id }, { signal })).job;
  const readOn = async (/** @type {Job} */ known) => {
    const { job: news } = await ask(JOB_UPDATE, { id, afterStep: lastStep(points), last: DELTA }, { signal });
    return news && { ...known, ...news, costs: { ...known.costs, ...news.costs } };
  };
  /** @type {() => Promise<boolean>} */
  const look = async () => {
    const before = whole ? null : job; // what this answer goes on from
    const answer = before ? await readOn(before) : await read();
    if (!answer) {
      notice(root, "Job not found", "There is no job with this id, or it is not yours.");
      return false;
    }
    const { metrics } = answer;
    points = before ? mergePoints(points, metrics) : metrics;
    page ??= mountPage(root, { id, signal, onCancelled: retryNow });
    page(answer, points);
    if (job && job.status !== answer.status) {
      announce(`Job ${statusWord(answer.status).toLowerCase()}`);
      refreshUnread();
    }
    job = answer;
    const began = metrics.length > 0 && metrics.length === points.length;
    const turned = before !== null && (began || TURNS.some((fact) => before[fact] !== answer[fact]));
    whole = turned || (before !== null && (metrics.length === DELTA || points.length > HELD));
    return turned ? look() : isMoving(job);
  };
  await poll(look, { signal, onAway: showAway, onBack: hideAway });
}

/**
 * Draws the frame of the page once; gives back the function that fills it.
 * @typedef {{job: Job, points: Point[]}} Latest
 * @param {HTMLElement} root
 * @param {{id: string, signal: AbortSignal, onCancelled: () => void}} options
 */
function mountPage(root, { id, signal, onCancelled }) {
  const hadFocus = root.contains(document.activeElement) || document.activeElement?.id === "main";
  root.replaceChildren(clone("job-detail"));
  /** @type {Latest | null} */
  let latest = null;
  let tab = "";
  const sharper = async (/** @type {[from: number, to: number]} */ steps) => {
    if (!latest || latest.points.length < FEW) return [];
    return stretch(id, steps, signal).catch(() => []); // what is on the screen stays; the next poll says what is wrong
  };
  const drawCharts = mountBoard(part(root, "board"), signal, { sharper });
  attribute(part(root, "again"), "href", `/training/jobs/new?from=${encodeURIComponent(id)}`);
  wireCancel(root, id, onCancelled);
  wireDownload(root, id);
  wireCsv(root, id, () => latest, signal);
  wireQuery(root, id);

  const draw = () => {
    if (latest && tab === "metrics") drawCharts(latest.points);
  };
  wireTabs(root, (name) => {
    tab = name;
    draw();
  });
  return (/** @type {Job} */ job, /** @type {Point[]} */ points) => {
    const isFirst = latest === null;
    latest = { job, points };
    drawHead(root, job, points);
    drawConfiguration(root, job);
    drawInfo(root, job);
    draw();
    if (isFirst && hadFocus) first(root, "h1").focus({ preventScroll: true });
  };
}
