// One job, live. The whole of it is asked once; then only what changes and the points after the last step seen.
// When something has happened to it, it is read whole once more, with its events and books; ended, it is asked no longer.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { announce, attribute, clone, first, part } from "../dom.js";
import { JOB } from "../documents.js";
import { isOutgrown, readOn } from "../following.js";
import { refreshUnread } from "../notifications.js";
import { stretch } from "../points.js";
import { poll, retryNow } from "../poll.js";
import { wireTabs } from "../tabs.js";
import { setTitle } from "../title.js";
import { isMoving, statusWord } from "../words.js";
import { wireCancel, wireCsv, wireDownload } from "./job-actions.js";
import { drawConfiguration, drawInfo, wireQuery } from "./job-facts.js";
import { drawHead } from "./job-head.js";
import { notice } from "./notice.js";

/** @typedef {import("../kinds.js").Job} Job */

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
  let whole = true;

  /** @type {() => Promise<boolean>} */
  const look = async () => {
    const before = whole ? null : job; // what this answer goes on from
    const asked = before ? readOn(before, signal) : ask(JOB, { id }, { signal }).then(({ job }) => job);
    const [answer, charts] = await Promise.all([asked, import("../charts/board.js")]); // made ready meanwhile
    if (!answer) {
      notice(root, "Job not found", "There is no job with this id, or it is not yours.");
      return false;
    }
    page ??= mountPage(root, charts, { id, signal, onCancelled: retryNow });
    page(answer);
    if (job && job.status !== answer.status) {
      announce(`Job ${statusWord(answer.status).toLowerCase()}`);
      refreshUnread();
    }
    job = answer;
    const began = before?.metrics.length === 0 && answer.metrics.length > 0;
    const turned = before !== null && (began || TURNS.some((fact) => before[fact] !== answer[fact]));
    whole = turned || (before !== null && isOutgrown(before, answer));
    return turned ? look() : isMoving(job);
  };
  await poll(look, { signal, onAway: showAway, onBack: hideAway });
}

/**
 * Draws the frame of the page once; gives back the function that fills it.
 * @param {HTMLElement} root
 * @param {typeof import("../charts/board.js")} charts
 * @param {{id: string, signal: AbortSignal, onCancelled: () => void}} options
 */
function mountPage(root, { mountBoard }, { id, signal, onCancelled }) {
  const hadFocus = root.contains(document.activeElement) || document.activeElement?.id === "main";
  root.replaceChildren(clone("job-detail"));
  /** @type {Job | null} */
  let latest = null;
  let tab = "";
  const sharper = async (/** @type {[from: number, to: number]} */ steps) => {
    if (!latest || latest.metrics.length < FEW) return [];
    return stretch(id, steps, signal).catch(() => []); // what is on the screen stays; the next poll says what is wrong
  };
  const drawCharts = mountBoard(part(root, "board"), signal, { sharper });
  attribute(part(root, "again"), "href", `/training/jobs/new?from=${encodeURIComponent(id)}`);
  wireCancel(root, id, onCancelled);
  wireDownload(root, id);
  wireCsv(root, id, () => latest, signal);
  wireQuery(root, id);

  const draw = () => {
    if (latest && tab === "metrics") drawCharts(latest.metrics);
  };
  wireTabs(root, (name) => {
    tab = name;
    draw();
  });
  return (/** @type {Job} */ job) => {
    const isFirst = latest === null;
    latest = job;
    drawHead(root, job, job.metrics);
    drawConfiguration(root, job);
    drawInfo(root, job);
    draw();
    if (isFirst && hadFocus) first(root, "h1").focus({ preventScroll: true });
  };
}
