// What stands round the rows of the list: filters, totals, order, pages, and what is said of an empty list.

import { attribute, fill, part, text } from "../dom.js";
import { count, money } from "../format.js";
import { directionOf } from "../sorting.js";
import { STATUSES, statusWord } from "../words.js";
import { drawRows } from "./job-rows.js";

/** @typedef {import("../kinds.js").Status} Status */
/** @typedef {{status: Status | null, search: string, sort: string, after: string | null, earlier: string[]}} State `earlier`: cursors of the pages before, nearest last */

export const PAGE = 20;

/**
 * Chips stay the same elements, so that the pressed one keeps the focus.
 * @param {HTMLElement} root
 * @param {State} state
 * @param {(state: State) => string} address
 */
export function drawFilters(root, state, address) {
  const holder = part(root, "filters");
  if (!holder.children.length) {
    holder.replaceChildren(
      ...["", ...Object.keys(STATUSES)].map((status) => {
        const chip = document.createElement("a");
        chip.className = "chip";
        chip.dataset.status = status;
        text(chip, status ? statusWord(status) : "All");
        return chip;
      }),
    );
  }
  for (const chip of holder.querySelectorAll("a")) {
    const status = /** @type {Status | null} */ (chip.dataset.status || null);
    attribute(chip, "href", address({ ...state, status, after: null }));
    attribute(chip, "aria-current", status === state.status ? "true" : null);
  }
}

/**
 * @param {HTMLElement} root
 * @param {State} state
 */
export function drawSorting(root, { sort }) {
  for (const head of root.querySelectorAll("th")) attribute(head, "aria-sort", directionOf(sort, head.dataset.sort));
}

/**
 * @param {HTMLElement} root
 * @param {import("shapes").Answers["JOBS"]["viewer"]["spending"]} spending
 */
export function drawTotals(root, { runningJobs, hourlyRate, thisMonth }) {
  fill(root, { running: count(runningJobs), hourly: money(hourlyRate), month: money(thisMonth) });
}

/**
 * @param {HTMLElement} root
 * @param {import("../kinds.js").JobPage} page
 * @param {State} state
 */
export function drawList(root, { nodes, totalCount, pageInfo }, { status, search, after, earlier }) {
  const narrowed = Boolean(status || search);
  const none = nodes.length === 0;
  const word = status ? `${statusWord(status).toLowerCase()} ` : "";
  text(part(root, "total"), none && !after ? "" : `${count(totalCount)} ${word}${totalCount === 1 ? "job" : "jobs"}`);
  attribute(part(root, "list"), "aria-busy", "false");
  part(root, "list").hidden = none;
  const isEmpty = none && !narrowed && !after;
  part(root, "sieve").hidden = isEmpty;
  part(root, "totals").hidden = isEmpty;
  part(root, "empty").hidden = !isEmpty;
  part(root, "no-match").hidden = !(none && (narrowed || after));
  text(
    part(root, "no-match-title"),
    after ? "There are no more jobs." : search ? `No ${word}job is found by “${search}”.` : `No ${word}jobs.`,
  );
  drawRows(part(root, "rows"), nodes);

  const before = earlier.length * PAGE;
  part(root, "pager").hidden = !after && !pageInfo.hasNextPage;
  part(root, "previous").disabled = !after;
  part(root, "next").disabled = !pageInfo.hasNextPage;
  const known = !after || earlier.length > 0;
  const range = `${count(before + 1)}–${count(before + nodes.length)} of ${count(totalCount)}`;
  text(part(root, "range"), known && nodes.length ? range : `${count(totalCount)} in all`);
}
