// The few moves a view makes on the page. Text goes in as text, never as markup.

/** A fresh copy of what `<template id>` holds: its one element, or a fragment of several. */
export function clone(id) {
  const { content } = document.getElementById(id);
  const copy = content.cloneNode(true);
  return copy.children.length === 1 ? copy.firstElementChild : copy;
}

/** The element called `data-part="name"` in `root`, or `root` itself when it is called so. */
export function part(root, name) {
  const selector = `[data-part="${name}"]`;
  return root.matches?.(selector) ? root : root.querySelector(selector);
}

/** Sets the text where it differs, so that nothing flickers and a screen reader is not told twice. */
export function text(node, value) {
  const words = value ?? "";
  if (node.textContent !== words) node.textContent = words;
}

/** Fills many named parts: `{cost: "$1.00"}`. */
export function fill(root, values) {
  for (const [name, value] of Object.entries(values)) text(part(root, name), value);
}

export function attribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Points the first `<use>` of `node` at an icon of the page's sprite. */
export function icon(node, name) {
  attribute(node.matches("use") ? node : node.querySelector("use"), "href", `#icon-${name}`);
}

/** A bar of 0 to 100 percent; null is a bar that says nothing. */
export function meter(bar, percent) {
  attribute(bar, "aria-valuenow", percent === null ? null : Math.floor(percent));
  bar.firstElementChild.style.setProperty("inline-size", `${Math.min(100, Math.max(0, percent ?? 0))}%`);
}

/** Says something to a screen reader, once. */
export function announce(words) {
  const announcer = part(document, "announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = words), 50);
}
