// The jobs picked for a comparison, kept while the page lives, whatever list they were picked from.

export const MOST = 5;
export const LEAST = 2;

/** @type {Set<string>} */
const picked = new Set();

export const picks = {
  has: (/** @type {string} */ id) => picked.has(id),
  list: () => [...picked],
  full: () => picked.size >= MOST,
  /**
   * @param {string} id
   * @param {boolean} wanted
   */
  set(id, wanted) {
    if (!wanted) picked.delete(id);
    else if (picked.size < MOST) picked.add(id);
  },
  clear: () => picked.clear(),
};

/**
 * The address of a comparison.
 * @param {string[]} ids
 */
export function comparison(ids) {
  return `/training/jobs/compare?ids=${ids.map(encodeURIComponent).join(",")}`;
}

/**
 * The ids in such an address: at most five, none twice.
 * @param {URL} url
 */
export function comparedIds(url) {
  return [...new Set((url.searchParams.get("ids") ?? "").split(",").filter(Boolean))].slice(0, MOST);
}
