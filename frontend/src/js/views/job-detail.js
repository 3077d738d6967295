// One job, live. The whole of it is asked once; then only what changes and the points after the last step seen.
// When something has happened to it, it is read whole once more, with its events and books; ended, it is asked no longer.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { mountBoard } from "../charts/board.js";
import { announce, attribute, clone, part } from "../dom.js";
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

const DELTA = 500; // points of one update; as many again mean that there are more
const HELD = 5_000; // points in memory before the server is asked to thin them
const TURNS = ["status", "release", "stale"]; // what never changes without an event
const FEW = 100; // points: the server thins no history that short

export async function mountJobDetail({ root, signal, parameters: [id] }) {
  setTitle("Job");
  root.append(clone("loading"));
  let page = null;
  let job = null;
  let points = [];
  let whole = true;

  const look = async () => {
    const answer = whole
      ? await ask(JOB, { id }, { signal })
      : await ask(JOB_UPDATE, { id, afterStep: lastStep(points), last: DELTA }, { signal });
    if (!answer.job) {
      notice(root, "Job not found", "There is no job with this id, or it is not yours.");
      return false;
    }
    const before = job;
    const update = !whole;
    const { metrics, ...fields } = answer.job;
    points = update ? mergePoints(points, metrics) : metrics;
    job = { ...before, ...fields, costs: { ...before?.costs, ...fields.costs } };
    page ??= mountPage(root, { id, signal, onCancelled: retryNow });
    page(job, points);
    if (before && before.status !== job.status) {
      announce(`Job ${statusWord(job.status).toLowerCase()}`);
      refreshUnread();
    }
    const began = metrics.length > 0 && metrics.length === points.length;
    const turned = update && (began || TURNS.some((fact) => before[fact] !== job[fact]));
    whole = turned || (update && (metrics.length === DELTA || points.length > HELD));
    return turned ? look() : isMoving(job);
  };
  await poll(look, { signal, onAway: showAway, onBack: hideAway });
}

/** Draws the frame of the page once; gives back the function that fills it. */
function mountPage(root, { id, signal, onCancelled }) {
  const hadFocus = root.contains(document.activeElement) || document.activeElement?.id === "main";
  root.replaceChildren(clone("job-detail"));
  let latest = null;
  let tab = null;
  const sharper = async (steps) => {
    if (latest.points.length < FEW) return [];
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
  return (job, points) => {
    const first = latest === null;
    latest = { job, points };
    drawHead(root, job, points);
    drawConfiguration(root, job);
    drawInfo(root, job);
    draw();
    if (first && hadFocus) root.querySelector("h1").focus({ preventScroll: true });
  };
}
