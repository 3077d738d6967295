// Charts to take along: a picture of one, a table of all.

import { colour } from "../theme.js";

/** @typedef {import("../kinds.js").Point} Point */

/** @type {(keyof Point)[]} */
const COLUMNS = [
  "step",
  "epoch",
  "timestamp",
  "trainingLoss",
  "validationLoss",
  "learningRate",
  "gradientNorm",
  "throughput",
  "gpuUtilization",
  "nonFinite",
];

/**
 * RFC 4180, without anything that needs quoting: numbers, instants, and nothing where there is no value.
 * @param {Point[]} points
 */
export function csv(points) {
  const lines = points.map((point) => COLUMNS.map((name) => point[name] ?? "").join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

/**
 * Offers the browser a file.
 * @param {string} name
 * @param {Blob} blob
 */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * The chart as it stands, on its background, under its title.
 * @param {string} title
 * @param {import("uplot")} plot
 */
export function savePng(title, plot) {
  const { canvas } = plot.ctx;
  const head = 36 * devicePixelRatio;
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + head;
  const pen = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  pen.fillStyle = colour("--surface");
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.fillStyle = colour("--text");
  pen.font = `600 ${15 * devicePixelRatio}px system-ui, sans-serif`;
  pen.fillText(title, 12 * devicePixelRatio, 24 * devicePixelRatio);
  pen.drawImage(canvas, 0, head);
  picture.toBlob((blob) => blob && save(`${fileName(`${title} ${document.title}`)}.png`, blob));
}

/**
 * Words as the name of a file.
 * @param {string} words
 */
export function fileName(words) {
  return (
    words
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 80)
      .toLowerCase() || "chart"
  );
}
