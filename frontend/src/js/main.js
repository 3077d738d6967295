// Reads the address and mounts one view; a link to another view of ours changes the page without a reload.
// Leaving a view aborts its signal, which ends its questions, its timers and its listeners.

import { hideAway } from "./away.js";
import { announce, part } from "./dom.js";
import { count } from "./format.js";
import { beginNotifications } from "./notifications.js";
import * as session from "./session.js";
import { beginTheme } from "./theme.js";
import { mountComparison } from "./views/compare.js";
import { mountJobDetail } from "./views/job-detail.js";
import { mountJobForm } from "./views/job-form.js";
import { mountJobList } from "./views/job-list.js";
import { notFound, trouble } from "./views/notice.js";
import { mountSignIn } from "./views/sign-in.js";

/** @type {[RegExp, import("./kinds.js").View][]} */
const ROUTES = [
  [/^\/training\/jobs\/?$/, mountJobList],
  [/^\/training\/jobs\/new\/?$/, mountJobForm],
  [/^\/training\/jobs\/compare\/?$/, mountComparison],
  [/^\/training\/jobs\/([^/]+)\/?$/, mountJobDetail],
];

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
let leaving = new AbortController();

/**
 * Goes to another address of the monitor. `keep` leaves the focus where it is: the same view, asked differently.
 * @type {import("./kinds.js").Navigate}
 */
export function navigate(address, { replace = false, keep = false, state = null } = {}) {
  history[replace ? "replaceState" : "pushState"](state, "", address);
  mount({ moveFocus: !keep });
}

async function mount({ moveFocus = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  hideAway();
  const signedIn = session.token() !== null;
  part(document, "sign-out").hidden = !signedIn;
  part(document, "sign-out").title = `Sign out ${session.userId() ?? ""}`.trim();
  part(document, "sign-out").setAttribute("aria-label", `Sign out ${session.userId() ?? ""}`.trim());
  const url = new URL(location.href);
  /** @type {[import("./kinds.js").View, string[]]} */
  const [view, parameters] = signedIn ? route(url.pathname) : [mountSignIn, []];
  const root = document.createElement("div");
  root.className = "view";
  main.replaceChildren(root);
  const context = { root, url, signal, navigate, parameters };
  const mounted = view(context);
  if (moveFocus) arrive();
  try {
    await mounted;
  } catch (error) {
    if (!signal.aborted && session.token() !== null) trouble(context, error, mount);
  }
}

/**
 * @param {string} path
 * @returns {[import("./kinds.js").View, string[]]}
 */
function route(path) {
  for (const [pattern, view] of ROUTES) {
    const match = path.match(pattern);
    if (match) return [view, match.slice(1).map(decodeURIComponent)];
  }
  return [notFound, []];
}

/** A new page to a reader: its top, its heading, its name. */
function arrive() {
  scrollTo(0, 0);
  (main.querySelector("h1") ?? main).focus({ preventScroll: true });
  announce(document.title);
}

/** @param {MouseEvent} event */
function follow(event) {
  const link =
    event.target instanceof Element && /** @type {HTMLAnchorElement | null} */ (event.target.closest("a[href]"));
  if (!link || link.origin !== location.origin || !link.pathname.startsWith("/training/jobs")) return;
  if (event.defaultPrevented || event.button !== 0 || link.hasAttribute("download")) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.hash) return;
  event.preventDefault();
  navigate(link.href, { keep: link.hasAttribute("data-keep") });
}

beginTheme();
await session.begin();
document.addEventListener("click", follow);
addEventListener("popstate", () => mount({ moveFocus: true }));
addEventListener("hashchange", () => session.begin());
part(document, "sign-out").addEventListener("click", () => session.signOut());
session.onSessionChange(() => mount({ moveFocus: true }));
mount(); // first of all what the page is for
count(0); // a page's first number takes the browser long: while the answer is on its way
beginNotifications({ navigate });
