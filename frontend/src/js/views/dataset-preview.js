// The first pairs of a chosen file, at once and before anything is sent; or what is wrong with it, line by line.

import { clone, fill, part, text } from "../dom.js";
import { count } from "../format.js";
import { preview } from "../jsonl.js";

const LOOKED_AT = 256 * 1024; // bytes
const LONGEST = 400; // characters of one text

/**
 * Draws what the beginning of `file` holds; answers whether it may be good.
 * @param {HTMLElement} root
 * @param {File} file
 */
export async function drawPreview(root, file) {
  const whole = file.size <= LOOKED_AT;
  const beginning = await file.slice(0, LOOKED_AT).text();
  const { pairs, flaws } = preview(beginning, { whole });
  const box = part(root, "preview");
  text(
    part(box, "preview-title"),
    flaws.length
      ? `“${file.name}” cannot be used`
      : `The first ${pairs.length === 1 ? "pair" : `${pairs.length} pairs`} of “${file.name}”`,
  );
  part(box, "preview-flaws").replaceChildren(...flaws.map(flawRow));
  part(box, "preview-pairs").replaceChildren(...(flaws.length ? [] : pairs.map(pairRow)));
  box.classList.toggle("bad", flaws.length > 0);
  box.hidden = false;
  return flaws.length === 0;
}

/** @param {HTMLElement} root */
export function hidePreview(root) {
  part(root, "preview").hidden = true;
}

/** @param {{line: number, prompt: string, completion: string}} pair */
function pairRow({ line, prompt, completion }) {
  const row = clone("pair");
  fill(row, { line: `Line ${count(line)}`, prompt: short(prompt), completion: short(completion) });
  return row;
}

/** @param {{line: number, message: string}} flaw */
function flawRow({ line, message }) {
  const row = document.createElement("li");
  text(row, `Line ${count(line)}: ${message}`);
  return row;
}

/** @param {string} words */
function short(words) {
  return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
}
