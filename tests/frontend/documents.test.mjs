// The documents as the Python side reads them: one plain literal each, nothing filled in.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as documents from "../../frontend/src/js/documents.js";

const folder = new URL("../../frontend/src/js/", import.meta.url);

test("every document is a plain literal that a regular expression finds whole", async () => {
  const source = await readFile(new URL("documents.js", folder), "utf8");
  const found = [
    ...source.matchAll(/export const (\w+) = \/\* GraphQL \*\/ `([^`]*)`;/g),
  ];
  assert.deepEqual(
    Object.fromEntries(found.map(([, name, text]) => [name, text])),
    { ...documents },
  );
  assert.doesNotMatch(source, /\$\{/);
});

test("every document names its one operation", () => {
  for (const [name, text] of Object.entries(documents)) {
    assert.match(text.trim(), /^(query|mutation) [A-Z]\w+/, name);
  }
});

test("data reaches the page as text only", async () => {
  const { readdir } = await import("node:fs/promises");
  const files = (await readdir(folder, { recursive: true })).filter((file) =>
    file.endsWith(".js"),
  );
  assert.ok(files.length > 10);
  for (const file of files) {
    const source = await readFile(new URL(file, folder), "utf8");
    assert.doesNotMatch(
      source,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?:\/\//,
      file,
    );
  }
});
