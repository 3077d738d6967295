// The jobs. Filter, search, order and page stand in the address; the list is asked again and again, sooner while
// anything in it moves.

import { poll as ask } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { clone, first, part } from "../dom.js";
import { JOBS } from "../documents.js";
import { poll } from "../poll.js";
import { earliest } from "../signals.js";
import { isSort, nextSort, orderOf } from "../sorting.js";
import { setTitle } from "../title.js";
import { isMoving, STATUSES } from "../words.js";
import { drawFilters, drawList, drawSorting, drawTotals, PAGE } from "./job-list-frame.js";
import { wirePicks } from "./job-picks.js";

const CALM_MS = 30_000;
const TYPING_MS = 250;

/** @typedef {import("./job-list-frame.js").State} State */

/** @type {import("../kinds.js").View} */
export async function mountJobList({ root, url, signal }) {
  setTitle("Training jobs");
  /** @type {State} */
  const state = { ...readState(url), earlier: history.state?.earlier ?? [] };
  let asking = new AbortController();
  /** @type {import("shapes").Answers["JOBS"] | null} */
  let page = null;
  /** @type {(thrown: unknown) => void} */
  let failed;
  root.append(clone("job-list"));
  part(root, "rows").replaceChildren(...Array.from({ length: 5 }, () => clone("job-skeleton")));
  part(root, "search").value = state.search;
  const drawPicks = wirePicks(root, signal);

  const here = (/** @type {State} */ of) => address(url.pathname, of);

  /**
   * Looks at another list: the question in flight is dropped, the address says what is asked now.
   * @param {Partial<State>} change
   */
  function turn(change, { push = true } = {}) {
    Object.assign(state, { after: null, earlier: [] }, change);
    history[push ? "pushState" : "replaceState"]({ earlier: state.earlier }, "", here(state));
    part(root, "list").setAttribute("aria-busy", "true");
    follow();
  }

  function draw() {
    drawFilters(root, state, here);
    drawSorting(root, state);
    if (page) drawList(root, page.jobs, state);
    if (page) drawTotals(root, page.viewer.spending);
    drawPicks();
  }

  async function follow() {
    asking.abort();
    asking = new AbortController();
    const own = earliest(signal, asking.signal);
    const look = async () => {
      const { status, after, search, sort } = state;
      page = await ask(
        JOBS,
        { first: PAGE, after, status: status && [status], search, ...orderOf(sort) },
        { signal: own },
      );
      draw();
      return page.jobs.nodes.some(isMoving) || CALM_MS;
    };
    const asked = poll(look, { signal: own, onAway: showAway, onBack: hideAway }); // drawn while the question is on its way
    draw();
    await asked.catch(failed);
  }

  part(root, "next").addEventListener("click", () => {
    turn({ after: page?.jobs.pageInfo.endCursor, earlier: [...state.earlier, state.after ?? ""] });
    first(root, "h1").focus();
  });
  part(root, "previous").addEventListener("click", () => {
    turn({ after: state.earlier.at(-1) || null, earlier: state.earlier.slice(0, -1) });
    first(root, "h1").focus();
  });
  part(root, "filters").addEventListener("click", (event) => {
    const chip = event.target instanceof Element && event.target.closest("a");
    if (!chip || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    turn({ status: /** @type {State["status"]} */ (chip.dataset.status || null) });
  });
  first(root, "thead").addEventListener("click", ({ target }) => {
    const column = target instanceof Element && target.closest("th")?.dataset.sort;
    if (column) turn({ sort: nextSort(state.sort, column) }, { push: false });
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const search = part(root, "search");
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => signal.aborted || turn({ search: search.value.trim() }, { push: false }), TYPING_MS);
  });

  await new Promise((resolve, reject) => {
    failed = reject;
    signal.addEventListener("abort", resolve);
    follow();
  });
}

/** @param {URL} url */
function readState({ searchParams }) {
  const [status, sort] = [searchParams.get("status"), searchParams.get("sort")];
  return {
    status: Object.hasOwn(STATUSES, status ?? "") ? /** @type {State["status"]} */ (status) : null,
    search: (searchParams.get("q") ?? "").slice(0, 200).trim(),
    sort: sort !== null && isSort(sort) ? sort : "",
    after: searchParams.get("after"),
  };
}

/**
 * @param {string} path
 * @param {State} state
 */
function address(path, { status, search, sort, after }) {
  const query = new URLSearchParams({
    ...(status && { status }),
    ...(search && { q: search }),
    ...(sort && { sort }),
    ...(after && { after }),
  });
  return `${path}${query.size ? `?${query}` : ""}`;
}
