// Builds the monitor and the GraphiQL page into ../server/_static/, which git ignores and the wheel ships.
// Everything a page asks for lies below /static/, so no request ever leaves the origin.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "src");
const out = join(here, "../server/_static");

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
  legalComments: "linked",
  metafile: true,
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".ttf": "file", ".woff2": "file" },
};

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

const monitor = await build({
  ...common,
  entryPoints: [
    { in: "src/js/main.js", out: "app" },
    { in: "src/css/app.css", out: "app" },
  ],
  outdir: out,
});
const graphiql = await build({
  ...common,
  entryPoints: {
    graphiql: "src/js/graphiql.js",
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
  outdir: join(out, "graphiql"),
});

for (const page of ["index.html", "graphiql.html"]) {
  await writeFile(join(out, page), await stamped(await whole(await readFile(join(source, page), "utf8"))));
}
await writeFile(join(out, "licenses.txt"), await licences([monitor, graphiql]));

/** The page with what stands in `<!-- include: html/x.html -->`, indentation left out. */
async function whole(html) {
  for (const [mark, file] of html.matchAll(/<!-- include: ([\w/.-]+) -->/g)) {
    html = html.replace(mark, (await readFile(join(source, file), "utf8")).trim());
  }
  return html.replace(/^ +/gm, "");
}

/** The page with `?v=<content hash>` on each asset, so that a new release is never mixed with a cached old one. */
async function stamped(html) {
  const assets = [...new Set([...html.matchAll(/\/static\/[\w./-]+/g)].map(([url]) => url))];
  for (const url of assets) {
    const bytes = await readFile(join(out, url.replace("/static/", "")));
    const version = createHash("sha256").update(bytes).digest("hex").slice(0, 10);
    html = html.replaceAll(`"${url}"`, `"${url}?v=${version}"`);
  }
  return html;
}

/** The licence of every package that has a byte in the bundles. */
async function licences(builds) {
  const inputs = builds.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const folders = new Set(inputs.flatMap((path) => path.match(/.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []));
  const notes = [];
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
    const file = (await readdir(join(here, folder))).find((entry) => /^licen[sc]e/i.test(entry));
    const text = file ? await readFile(join(here, folder, file), "utf8") : `Licence: ${license}\n`;
    notes.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return notes.join(`\n${"-".repeat(80)}\n\n`);
}
