// Who is signed in: a bearer token that never touches the disk.
// It arrives in the address (`#token=…`), rests in sessionStorage, and other open tabs lend it to a new one.

const KEY = "lora-pipeline.token";
/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {"refused" | "left" | null} */
let farewell = null;
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("lora-pipeline.session") : null;

/** The token, or null when nobody is signed in. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/** Takes the token out of the address bar, or else asks the other tabs for theirs. */
export async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(history.state, "", location.pathname + location.search);
    signIn(given);
  } else if (!token()) {
    await borrow();
  }
}

/** @param {string} value */
export function signIn(value) {
  sessionStorage.setItem(KEY, value.trim());
  tell();
}

/** Ends the session in this tab: the API refused the token. */
export function refuse() {
  end("refused");
}

/** Ends the session in this tab and in all others: the person wants to. */
export function signOut() {
  tabs?.postMessage({ kind: "signed-out" });
  end("left");
}

/** Why nobody is signed in: "refused", "left", or null when nobody was. */
export function whyEnded() {
  return farewell;
}

/**
 * Calls `listener` whenever somebody signs in or out; the answer ends that.
 * @param {() => void} listener
 * @returns {() => void}
 */
export function onSessionChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * The `sub` of the token, for display only; null when it cannot be read.
 * @returns {string | null}
 */
export function userId(value = token()) {
  try {
    const payload = (value ?? "").split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)).sub ?? null;
  } catch {
    return null;
  }
}

/** @param {"refused" | "left"} why */
function end(why) {
  farewell = why;
  sessionStorage.removeItem(KEY);
  tell();
}

function tell() {
  for (const listener of listeners) listener();
}

async function borrow() {
  if (!tabs) return;
  await new Promise((resolve) => {
    const giveUp = setTimeout(resolve, 80);
    tabs.addEventListener("message", ({ data }) => {
      if (data.kind !== "token" || token()) return;
      sessionStorage.setItem(KEY, data.token);
      clearTimeout(giveUp);
      resolve(null);
    });
    tabs.postMessage({ kind: "token?" });
  });
}

tabs?.addEventListener("message", ({ data }) => {
  if (data.kind === "token?" && token()) tabs.postMessage({ kind: "token", token: token() });
  if (data.kind === "signed-out" && token()) end("left");
});
