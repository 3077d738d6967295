// The title of the tab: how many notifications are unread, and what the page shows.

let unread = 0;
let words = "";

/** @param {string} text */
export function setTitle(text) {
  words = text;
  write();
}

/** @param {number} number */
export function setUnread(number) {
  unread = number;
  write();
}

function write() {
  const title = `${unread ? `(${unread}) ` : ""}${words} · lora-pipeline`;
  if (document.title !== title) document.title = title;
}
