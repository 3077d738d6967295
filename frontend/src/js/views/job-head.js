// The upper part of the job page: status, callouts, progress, the four figures, the GPU bar.

import { attribute, fill, first, icon, meter, part, text } from "../dom.js";
import { ago, bytes, count, duration, gpus, localClock, localTime, loss, money, percent, ranFor } from "../format.js";
import { againstEstimate, outlook } from "../outlook.js";
import { lowest } from "../series.js";
import { badge } from "../status.js";
import { setTitle } from "../title.js";
import { waitsFor } from "../waits.js";
import { isActive } from "../words.js";

/** @typedef {import("../kinds.js").Job} Job */
/** @typedef {import("../kinds.js").Point} Point */

/**
 * @param {HTMLElement} root
 * @param {Job} job
 * @param {Point[]} points
 */
export function drawHead(root, job, points) {
  setTitle(`${isActive(job) ? `${percent(job.progress)} · ` : ""}${job.dataset.name}`);
  fill(root, { title: job.dataset.name, stage: waitsFor(job, points), origin: origin(job) });
  badge(part(root, "status"), job.status);
  part(root, "stale").hidden = !(job.stale && isActive(job));
  const silence = job.lastContactAt ? ` for ${duration((Date.now() - Date.parse(job.lastContactAt)) / 1000)}` : "";
  text(part(root, "stale-text"), `No contact with the cluster${silence}`);
  text(part(root, "confirm-text"), warning(job));
  drawCancel(root, isActive(job));

  drawError(root, job);
  drawRelease(root, job);
  drawArtifact(root, job);
  drawProgress(root, job, points);
  drawFigures(root, job, points);
  drawGpu(root, job, points);
}

/**
 * What can no longer be cancelled takes the question, and the focus that stood there, along.
 * @param {HTMLElement} root
 * @param {boolean} isOpen
 */
function drawCancel(root, isOpen) {
  const button = part(root, "cancel");
  if (!isOpen && part(root, "confirm").open) part(root, "confirm").close();
  if (!isOpen && document.activeElement === button) first(root, "h1").focus({ preventScroll: true });
  button.hidden = !isOpen;
}

/** @param {Job} job */
function origin({ id, presetId, hyperparameters, createdAt }) {
  return [hyperparameters.baseModel, presetId, id.slice(0, 8), `created ${ago(createdAt)}`].filter(Boolean).join(" · ");
}

/** @param {Job} job */
function warning({ status, costs }) {
  if (status === "QUEUED") return "It has not started, so it costs nothing. It cannot be resumed.";
  return `Training stops and the GPUs are given back. The ${money(costs.current)} spent so far stay spent, and the job cannot be resumed.`;
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 */
function drawError(root, { status, errorMessage }) {
  part(root, "error").hidden = status !== "FAILED";
  text(part(root, "error-text"), errorMessage ?? "The cluster gave no reason.");
}

/**
 * What became of the GPUs; of a job that was trained to the end nobody wonders.
 * @param {HTMLElement} root
 * @param {Job} job
 */
function drawRelease(root, { status, release, releasingSince, stage }) {
  const callout = part(root, "release");
  callout.hidden = release === "NONE" || (release === "RELEASED" && status === "COMPLETED");
  if (callout.hidden) return;
  const releasing = release === "RELEASING";
  callout.dataset.kind = releasing ? "releasing" : "released";
  icon(part(root, "release-icon"), releasing ? "warning" : "completed");
  fill(root, {
    "release-title": releasing ? "Releasing the GPUs" : "GPUs released",
    "release-text": releasing
      ? [
          stage,
          releasingSince && `Since ${localTime(releasingSince)} (${ago(releasingSince)}).`,
          "GPU time is charged until the cluster confirms.",
        ]
          .filter(Boolean)
          .join(" ")
          .replace(/([^.…]) Since/, "$1. Since")
      : "The cluster has confirmed that nothing of this job runs any more.",
  });
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 */
function drawArtifact(root, { artifact }) {
  part(root, "artifact").hidden = !artifact;
  if (!artifact) return;
  fill(root, {
    "artifact-name": `The trained adapter is ready: ${artifact.name}, ${bytes(artifact.sizeBytes)}`,
    "artifact-sum": `SHA-256 ${artifact.sha256}`,
  });
  attribute(part(root, "download"), "href", artifact.downloadUrl);
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 * @param {Point[]} points
 */
function drawProgress(root, job, points) {
  const { currentEpoch, totalEpochs, currentStep, totalSteps, startedAt, completedAt } = job;
  meter(part(root, "bar"), job.progress);
  part(root, "bar").dataset.status = job.status.toLowerCase();
  fill(root, {
    progress: percent(job.progress),
    epoch: `Epoch ${count(currentEpoch)} / ${count(totalEpochs)}`,
    step: `Step ${count(currentStep)} / ${count(totalSteps)}`,
  });
  const ahead = outlook(job, points);
  const ran = startedAt && `${completedAt ? "Ran" : "Running"} for ${duration(ranFor(job))}`;
  text(part(root, "eta"), [ran, ahead && `${duration(ahead.seconds)} left`].filter(Boolean).join(" · "));
  const pace =
    ahead &&
    `Done about ${localClock(new Date(ahead.at).toISOString(), "short")}, at the pace of the last ${ahead.points} points`;
  text(part(root, "basis"), pace ?? "");
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 * @param {Point[]} points
 */
function drawFigures(root, job, points) {
  drawCost(root, job, outlook(job, points));
  const trained = newestWith("trainingLoss", job, points);
  const validated = newestWith("validationLoss", job, points);
  const best = lowest(points, "validationLoss");
  fill(root, {
    "training-loss": loss(trained?.trainingLoss),
    "training-note": atStep(trained),
    "validation-loss": loss(validated?.validationLoss),
    "validation-note": atStep(validated),
    lowest: best && best !== validated ? `lowest ${loss(best.validationLoss)} ${atStep(best)}` : "",
    throughput: count(newestWith("throughput", job, points)?.throughput),
  });
}

/**
 * The newest point that has this figure; the job's own figures, which tell no step, where there is none.
 * @param {"trainingLoss" | "validationLoss" | "throughput"} figure
 * @param {Job} job
 * @param {Point[]} points
 */
function newestWith(figure, job, points) {
  return points.findLast((point) => point[figure] !== null) ?? job.currentMetrics;
}

/** @param {object | null} measured */
function atStep(measured) {
  return measured && "step" in measured ? `at step ${count(Number(measured.step))}` : "";
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 * @param {ReturnType<typeof outlook>} ahead
 */
function drawCost(root, job, ahead) {
  const { costs, gpuConfig } = job;
  const { estimatedTotal, current, final } = costs;
  fill(root, { cost: money(final ?? current), estimate: `Est. ${money(estimatedTotal)}` });
  const heading = part(root, "heading");
  text(heading, ahead ? `Heading for ${money(ahead.cost)}` : againstEstimate(job));
  attribute(
    heading,
    "title",
    ahead ? `What it has cost, and the time left at ${money(gpuConfig.hourlyRate)} an hour` : null,
  );
  heading.hidden = !heading.textContent;
}

/**
 * @param {HTMLElement} root
 * @param {Job} job
 * @param {Point[]} points
 */
function drawGpu(root, job, points) {
  const use = job.currentMetrics?.gpuUtilization ?? null;
  fill(root, {
    "gpu-name": `${gpus(job.gpuConfig)}${isActive(job) ? "" : ", at the end"}`,
    "gpu-percent": percent(use),
  });
  meter(part(root, "gpu-bar"), use);
  part(root, "board").hidden = points.length === 0;
  part(root, "waiting").hidden = points.length > 0;
  part(root, "waiting").classList.toggle("over", !isActive(job));
  text(
    part(root, "waiting-text"),
    isActive(job) ? "Waiting for first metrics from GPU cluster…" : "This job ended before its first metrics.",
  );
}
