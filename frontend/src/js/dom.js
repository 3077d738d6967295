// The few moves a view makes on the page. Text goes in as text, never as markup.

/** @typedef {import("shapes").Parts} Parts */
/** @typedef {import("shapes").Templates} Templates */

/**
 * A fresh copy of what `<template id>` holds: its one element, or a fragment of several.
 * @template {keyof Templates} T
 * @param {T} id
 * @returns {Templates[T]}
 */
export function clone(id) {
  const { content } = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const copy = /** @type {DocumentFragment} */ (content.cloneNode(true));
  return /** @type {Templates[T]} */ (copy.children.length === 1 ? copy.firstElementChild : copy);
}

/**
 * The element called `data-part="name"` in `root`, or `root` itself when it is called so.
 * @template {keyof Parts} N
 * @param {ParentNode} root
 * @param {N} name
 * @returns {Parts[N]}
 */
export function part(root, name) {
  const selector = `[data-part="${name}"]`;
  const found = root instanceof Element && root.matches(selector) ? root : root.querySelector(selector);
  return /** @type {Parts[N]} */ (found);
}

/**
 * The first such element in `root`, which has one.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {ParentNode} root
 * @param {T} tag
 */
export function first(root, tag) {
  return /** @type {HTMLElementTagNameMap[T]} */ (root.querySelector(tag));
}

/**
 * Sets the text where it differs, so that nothing flickers and a screen reader is not told twice.
 * @param {Element} node
 * @param {string | null | undefined} value
 */
export function text(node, value) {
  const words = value ?? "";
  if (node.textContent !== words) node.textContent = words;
}

/**
 * Fills many named parts: `{cost: "$1.00"}`.
 * @param {ParentNode} root
 * @param {Partial<Record<keyof Parts, string | null>>} values
 */
export function fill(root, values) {
  for (const [name, value] of Object.entries(values)) text(part(root, /** @type {keyof Parts} */ (name)), value);
}

/**
 * Sets an attribute where it differs; null takes it away.
 * @param {Element} node
 * @param {string} name
 * @param {string | number | null | undefined} value
 */
export function attribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * Points the first `<use>` of `node` at an icon of the page's sprite.
 * @param {Element} node
 * @param {string} name
 */
export function icon(node, name) {
  const use = node.matches("use") ? node : node.querySelector("use");
  if (use) attribute(use, "href", `#icon-${name}`);
}

/**
 * A bar of 0 to 100 percent; null is a bar that says nothing.
 * @param {HTMLElement} bar
 * @param {number | null} percent
 */
export function meter(bar, percent) {
  attribute(bar, "aria-valuenow", percent === null ? null : Math.floor(percent));
  first(bar, "i").style.setProperty("inline-size", `${Math.min(100, Math.max(0, percent ?? 0))}%`);
}

/**
 * Says something to a screen reader, once.
 * @param {string} words
 */
export function announce(words) {
  const announcer = part(document, "announcer");
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = words), 50);
}
