// Choose or drop a file: ask for a signed address, PUT the file there, have it checked, hand the dataset on.

import { graphql } from "../api.js";
import { CREATE_UPLOAD } from "../documents.js";
import { announce, meter, part, text } from "../dom.js";
import { bytes, count, percent } from "../format.js";
import { earliest } from "../signals.js";
import { isNamed, said } from "../thrown.js";
import { toast } from "../toasts.js";
import { datasetName, putFile } from "../upload.js";
import { check } from "./dataset-check.js";
import { drawPreview, hidePreview } from "./dataset-preview.js";

/** @typedef {import("../kinds.js").Dataset} Dataset */

/**
 * Calls `onDataset(dataset)` when a file was uploaded and checked, be it READY or INVALID.
 * @param {HTMLElement} root
 * @param {{signal: AbortSignal, onDataset: (dataset: Dataset) => void}} options
 */
export function wireUpload(root, { signal, onDataset }) {
  const input = part(root, "file");
  const drop = part(root, "drop");
  /** @type {AbortController | null} */
  let stop = null;

  const take = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    stop?.abort(); // another was chosen meanwhile
    const own = (stop = new AbortController());
    say(root, "");
    try {
      if (!(await drawPreview(root, file))) {
        announce("The file cannot be used");
        return;
      }
      own.signal.throwIfAborted();
      part(root, "upload").hidden = false;
      const dataset = await upload(root, file, earliest(signal, own.signal));
      onDataset(dataset);
      if (dataset.status === "READY") toast(`“${dataset.name}” is ready: ${count(dataset.totalTrainingPairs)} pairs`);
      else {
        hidePreview(root);
        say(root, `“${dataset.name}” cannot be used. ${dataset.errorMessage ?? "The file was not accepted."}`);
      }
    } catch (error) {
      if (!isNamed(error, "AbortError")) say(root, said(error));
      else if (stop === own && !signal.aborted) announce("Upload stopped");
    } finally {
      if (stop === own) {
        stop = null;
        input.value = "";
        part(root, "upload").hidden = true;
      }
    }
  };

  input.addEventListener("change", () => take(input.files?.[0]));
  part(root, "upload-cancel").addEventListener("click", () => stop?.abort());
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer?.files[0]);
  });
}

/**
 * @param {HTMLElement} root
 * @param {File} file
 * @param {AbortSignal} signal
 */
async function upload(root, file, signal) {
  const show = (/** @type {number} */ share, words = percent(share)) => {
    meter(part(root, "upload-bar"), share);
    text(part(root, "upload-state"), words);
  };
  text(part(root, "upload-name"), `${file.name}, ${bytes(file.size)}`);
  show(0);
  const wish = { name: datasetName(file.name), fileName: file.name, sizeBytes: file.size };
  const { createDatasetUpload: slot } = await graphql(CREATE_UPLOAD, { input: wish }, { signal });
  if (!slot.dataset) throw new Error(refusal(slot));
  await putFile(slot.uploadUrl, file, { onProgress: (sent) => show(sent), signal });
  show(0, "Checking each line…");
  const onProgress = (/** @type {number} */ checked) => show(checked, `Checking each line… ${percent(checked)}`);
  const result = await check(slot.dataset.id, { onProgress, signal });
  if (!result.dataset) throw new Error(refusal(result));
  return result.dataset;
}

/** @param {{message: string, fields?: import("../kinds.js").Flaw[]}} refused */
function refusal({ message, fields }) {
  return fields?.length ? fields.map((flaw) => `${flaw.path}: ${flaw.message}`).join(" ") : message;
}

/**
 * @param {HTMLElement} root
 * @param {string} words
 */
function say(root, words) {
  text(part(root, "upload-error"), words);
  part(root, "upload-error").hidden = !words;
}
