// A file to a signed address, with progress: the one thing that still needs XMLHttpRequest.

/**
 * PUTs `file` to `url`. `onProgress` gets percent. Rejects with a sentence, or with an AbortError after `signal`.
 * @param {string} url
 * @param {File} file
 * @param {{onProgress: (percent: number) => void, signal: AbortSignal}} options
 * @returns {Promise<void>}
 */
export function putFile(url, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded }) => onProgress((100 * loaded) / Math.max(1, file.size)));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(new Error(`The storage refused the file with status ${request.status}. Try again.`));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke during the upload. Try again.")));
    request.addEventListener("abort", () => reject(new DOMException("The upload was stopped.", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/**
 * A name for a dataset, from its file's: "my_pairs.v2.jsonl" → "my_pairs.v2".
 * @param {string} fileName
 */
export function datasetName(fileName) {
  return fileName.replace(/\.(jsonl|json|ndjson)$/i, "").trim() || fileName;
}
