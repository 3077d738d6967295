// The order of the list as the address has it: "cost" is the least first, "-cost" the highest, "" newest first. Pure.

/** @typedef {NonNullable<import("shapes").Variables["JOBS"]["orderBy"]>} Order */

const COLUMNS = ["dataset", "status", "progress", "gpus", "cost", "created"];
const NEWEST = "-created";

/** @param {string | null} sort */
export function isSort(sort) {
  return COLUMNS.includes((sort ?? "").replace(/^-/, ""));
}

/**
 * The arguments of the API's list.
 * @param {string} sort
 */
export function orderOf(sort) {
  const way = sort || NEWEST;
  return { orderBy: /** @type {Order} */ (way.replace(/^-/, "").toUpperCase()), ascending: !way.startsWith("-") };
}

/**
 * How a column stands in this order, as ARIA says it; null when it does not count.
 * @param {string} sort
 * @param {string | undefined} column
 */
export function directionOf(sort, column) {
  const way = sort || NEWEST;
  if (way.replace(/^-/, "") !== column) return null;
  return way.startsWith("-") ? "descending" : "ascending";
}

/**
 * What a press on a column's head asks for next: up, down, and newest first again.
 * @param {string} sort
 * @param {string} column
 */
export function nextSort(sort, column) {
  if (sort !== column) return sort === `-${column}` ? "" : column;
  return `-${column}` === NEWEST ? "" : `-${column}`;
}
