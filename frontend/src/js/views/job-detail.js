// One job, live. The whole of it is asked once; then only what changes and the points after the last step seen.
// A status or release that has just come to rest is read whole once more, and then nothing is asked any longer.

import { graphql, poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { mountCharts } from "../charts.js";
import { announce, attribute, clone, part } from "../dom.js";
import { ARTIFACT, CANCEL_JOB, JOB, JOB_UPDATE } from "../documents.js";
import { refreshUnread } from "../notifications.js";
import { poll, retryNow } from "../poll.js";
import { lastStep, mergePoints } from "../series.js";
import { isActive, isMoving, statusWord } from "../status.js";
import { wireTabs } from "../tabs.js";
import { toast } from "../toasts.js";
import { drawConfiguration, drawInfo } from "./job-facts.js";
import { drawHead } from "./job-head.js";
import { notice } from "./notice.js";

const DELTA = 500; // points of one update; as many again mean that there are more
const HELD = 5_000; // points in memory before the server is asked to thin them

export async function mountJobDetail({ root, signal, parameters: [id] }) {
  document.title = "Job · lora-pipeline";
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
    job = { ...before, ...fields };
    page ??= mountPage(root, { id, signal, onCancelled: retryNow });
    page(job, points);
    if (before && before.status !== job.status) {
      announce(`Job ${statusWord(job.status).toLowerCase()}`);
      refreshUnread();
    }
    const settled = update && (isActive(before) !== isActive(job) || isMoving(before) !== isMoving(job));
    whole = settled || (update && (metrics.length === DELTA || points.length > HELD));
    return settled ? look() : isMoving(job);
  };
  await poll(look, { signal, onAway: showAway, onBack: hideAway });
}

/** Draws the frame of the page once; gives back the function that fills it. */
function mountPage(root, { id, signal, onCancelled }) {
  const hadFocus = root.contains(document.activeElement) || document.activeElement?.id === "main";
  root.replaceChildren(clone("job-detail"));
  const drawCharts = mountCharts(part(root, "board"), signal);
  let latest = null;
  let tab = null;
  attribute(part(root, "again"), "href", `/training/jobs/new?from=${encodeURIComponent(id)}`);
  wireCancel(root, id, onCancelled);
  wireDownload(root, id);

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

function wireCancel(root, id, onCancelled) {
  const dialog = part(root, "confirm");
  const confirm = part(root, "confirm-cancel");
  part(root, "cancel").addEventListener("click", () => dialog.showModal());
  part(root, "keep").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  confirm.addEventListener("click", async () => {
    confirm.disabled = true;
    try {
      const { cancelJob: result } = await graphql(CANCEL_JOB, { id });
      if (result.job) toast("Job cancelled", { kind: "cancelled" });
      else toast(result.message, { kind: "failed" });
      onCancelled();
    } catch (error) {
      toast(`Not cancelled. ${error.message}`, { kind: "failed" });
    } finally {
      confirm.disabled = false;
      dialog.close();
    }
  });
}

/** A signed address does not live for ever: a click asks for a fresh one. */
function wireDownload(root, id) {
  const link = part(root, "download");
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const { job } = await graphql(ARTIFACT, { id });
      location.assign(job.artifact.downloadUrl);
    } catch (error) {
      toast(`Not downloaded. ${error.message}`, { kind: "failed" });
    }
  });
}
