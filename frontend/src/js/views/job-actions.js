// What a person can do on the job page: cancel, download the adapter, take the figures along.

import { graphql } from "../api.js";
import { csv, fileName, save } from "../charts/export.js";
import { part } from "../dom.js";
import { ARTIFACT, CANCEL_JOB } from "../documents.js";
import { everything } from "../points.js";
import { lastStep } from "../series.js";
import { said } from "../thrown.js";
import { toast } from "../toasts.js";

/**
 * @param {HTMLElement} root
 * @param {string} id
 * @param {() => void} onCancelled
 */
export function wireCancel(root, id, onCancelled) {
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
      toast(`Not cancelled. ${said(error)}`, { kind: "failed" });
    } finally {
      confirm.disabled = false;
      dialog.close();
    }
  });
}

/**
 * A signed address does not live for ever: a click asks for a fresh one.
 * @param {HTMLElement} root
 * @param {string} id
 */
export function wireDownload(root, id) {
  part(root, "download").addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const { job } = await graphql(ARTIFACT, { id });
      if (!job?.artifact) throw new Error("The adapter is there no more.");
      location.assign(job.artifact.downloadUrl);
    } catch (error) {
      toast(`Not downloaded. ${said(error)}`, { kind: "failed" });
    }
  });
}

/**
 * Every point goes into the table, not only those on the screen.
 * @param {HTMLElement} root
 * @param {string} id
 * @param {() => import("../kinds.js").Job | null} latest
 * @param {AbortSignal} signal
 */
export function wireCsv(root, id, latest, signal) {
  const button = part(root, "csv");
  button.addEventListener("click", async () => {
    const job = latest();
    if (!job) return;
    button.disabled = true;
    try {
      const rows = await everything(id, lastStep(job.metrics) ?? 0, signal);
      save(`${fileName(`${job.dataset.name} ${id.slice(0, 8)}`)}.csv`, new Blob([csv(rows)], { type: "text/csv" }));
    } catch (error) {
      if (!signal.aborted) toast(`Not saved. ${said(error)}`, { kind: "failed" });
    } finally {
      button.disabled = false;
    }
  });
}
