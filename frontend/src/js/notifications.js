// The bell: how many notifications are unread, the newest of them, and marking them read.

import { graphql, poll as ask } from "./api.js";
import { announce, attribute, clone, icon, part, text } from "./dom.js";
import { MARK_READ, NOTIFICATIONS, UNREAD, UNREAD_IDS } from "./documents.js";
import { ago, localTime } from "./format.js";
import { poll } from "./poll.js";
import * as session from "./session.js";
import { said } from "./thrown.js";
import { setUnread } from "./title.js";
import { toast } from "./toasts.js";

/** @typedef {import("./kinds.js").Note} Note */
/** @typedef {import("./kinds.js").Navigate} Navigate */

const EVERY_MS = 30_000;
/** @type {Partial<Record<Note["type"], string>>} */
const ICONS = {
  JOB_STARTED: "running",
  JOB_COMPLETED: "completed",
  JOB_FAILED: "failed",
  JOB_CANCELLED: "cancelled",
  RELEASE_SLOW: "warning",
};

let count = 0;
let stop = new AbortController();

/** @param {{navigate: Navigate}} page */
export function beginNotifications({ navigate }) {
  const bell = part(document, "bell");
  const button = part(bell, "bell-button");
  button.addEventListener("click", () => (part(bell, "notifications").hidden ? open(navigate) : close()));
  part(bell, "mark-all").addEventListener("click", () => {
    button.focus(); // the pressed button is about to go
    markAllRead();
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || part(bell, "notifications").hidden) return;
    close();
    button.focus();
  });
  const elsewhere = (/** @type {Event} */ { target }) => (target instanceof Node && bell.contains(target)) || close();
  document.addEventListener("click", elsewhere);
  document.addEventListener("focusin", elsewhere);
  session.onSessionChange(watch);
  watch();
}

/** Asks for the count now: something just happened that a notification tells of. */
export async function refreshUnread() {
  if (session.token() === null) return;
  try {
    show((await ask(UNREAD)).viewer.unreadNotifications);
  } catch {
    // The regular question, or the view's own, will say what is wrong.
  }
}

function watch() {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  close();
  part(document, "bell").hidden = session.token() === null;
  if (session.token() === null) return setUnread(0);
  poll(async () => show((await ask(UNREAD, {}, { signal })).viewer.unreadNotifications), {
    signal,
    every: EVERY_MS,
  }).catch(() => {});
}

/** @param {number} unread */
function show(unread) {
  const button = part(document, "bell-button");
  if (unread > count) announce(`${unread} unread notifications`);
  count = unread;
  setUnread(unread);
  const words = unread === 1 ? "1 unread" : `${unread} unread`;
  attribute(button, "aria-label", unread ? `Notifications, ${words}` : "Notifications");
  text(part(document, "unread"), unread > 99 ? "99+" : String(unread));
  part(document, "unread").hidden = unread === 0;
  part(document, "mark-all").hidden = unread === 0;
}

/** @param {Navigate} navigate */
async function open(navigate) {
  const panel = part(document, "notifications");
  panel.hidden = false;
  attribute(part(document, "bell-button"), "aria-expanded", "true");
  say("Loading…");
  part(panel, "mark-all").disabled = true; // an answer on its way would take it back
  try {
    const { viewer, notifications } = await graphql(NOTIFICATIONS);
    show(viewer.unreadNotifications);
    say(notifications.nodes.length ? "" : "Nothing yet. You will be told here when a job starts and ends.");
    part(panel, "notification-list").replaceChildren(...notifications.nodes.map((note) => row(note, navigate)));
  } catch (error) {
    say(`They could not be loaded. ${said(error)}`);
  } finally {
    part(panel, "mark-all").disabled = false;
  }
}

function close() {
  part(document, "notifications").hidden = true;
  attribute(part(document, "bell-button"), "aria-expanded", "false");
}

/** @param {string} words */
function say(words) {
  const note = part(document, "notifications-note");
  text(note, words);
  note.hidden = !words;
}

/**
 * @param {Note} note
 * @param {Navigate} navigate
 */
function row(note, navigate) {
  const node = clone("note");
  node.dataset.id = note.id;
  node.dataset.kind = ICONS[note.type] ?? "info";
  node.classList.toggle("is-unread", note.readAt === null);
  icon(node, ICONS[note.type] ?? "info");
  const link = part(node, "note-link");
  text(link, note.title);
  if (note.actionUrl.startsWith("/training/jobs/")) link.href = note.actionUrl;
  link.addEventListener("click", (event) => {
    if (note.readAt === null) markRead([note.id]);
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    close();
    navigate(link.href);
  });
  text(part(node, "note-text"), note.message);
  text(part(node, "note-time"), ago(note.createdAt));
  part(node, "note-time").title = localTime(note.createdAt);
  part(node, "note-time").dateTime = note.createdAt;
  const read = part(node, "note-read");
  attribute(read, "aria-label", `Mark “${note.title}” read`);
  read.hidden = note.readAt !== null;
  read.addEventListener("click", () => {
    part(document, "bell-button").focus();
    markRead([note.id]);
  });
  return node;
}

/** All of them, not only those on the screen: the API names a hundred at a time. */
async function markAllRead() {
  try {
    for (;;) {
      const { notifications } = await graphql(UNREAD_IDS);
      const ids = notifications.nodes.map(({ id }) => id);
      if (!ids.length || !(await markRead(ids))) return;
    }
  } catch (error) {
    toast(`Not marked read. ${said(error)}`, { kind: "failed" });
  }
}

/**
 * Whether it went well; if not, it was said.
 * @param {string[]} ids
 */
async function markRead(ids) {
  try {
    const { markNotificationsRead: result } = await graphql(MARK_READ, { ids });
    if (!result.viewer) throw new Error(result.message);
    for (const id of ids) {
      const node = document.querySelector(`.note[data-id="${CSS.escape(id)}"]`);
      if (!node) continue;
      node.classList.remove("is-unread");
      part(node, "note-read").hidden = true;
    }
    show(result.viewer.unreadNotifications);
    return true;
  } catch (error) {
    toast(`Not marked read. ${said(error)}`, { kind: "failed" });
    return false;
  }
}
