// Checks the types of every module by tsconfig.json, as `tsc` does: prints what it finds, and fails where it finds anything.
// The compiler is the whole of TypeScript that the editor of the GraphiQL page carries.

import { readFileSync } from "node:fs";
import { Module } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const { ts, libraries } = compiler();

const { options, fileNames, errors } = ts.getParsedCommandLineOfConfigFile(
  join(here, "tsconfig.json"),
  {},
  {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (flaw) => {
      throw new Error(line(flaw));
    },
  },
);
const host = ts.createCompilerHost(options);
const { fileExists, readFile } = host;
const LIBRARIES = host.getDefaultLibLocation(); // where it believes its own declarations to lie
const library = (path) => (dirname(path) === LIBRARIES ? libraries[path.slice(LIBRARIES.length + 1)] : undefined);
host.fileExists = (path) => library(path) !== undefined || fileExists(path);
host.readFile = (path) => library(path) ?? readFile(path);

const service = ts.createLanguageService({
  ...host,
  getCompilationSettings: () => options,
  getScriptFileNames: () => fileNames,
  getScriptVersion: () => "",
  getProjectVersion: () => "", // nothing changes meanwhile
  getScriptSnapshot: (path) => ts.ScriptSnapshot.fromString(host.readFile(path) ?? ""),
});
const hints = fileNames.flatMap((path) => service.getSuggestionDiagnostics(path)); // what is deprecated or does nothing
const found = [...errors, ...ts.getPreEmitDiagnostics(service.getProgram()), ...hints].map(line);
console.log([...found, `types: ${found.length} findings in ${fileNames.length} files`].join("\n"));
process.exitCode = found.length ? 1 : 0;

/** Where it is and what is wrong, each reason on a line of its own. */
function line({ file, start, messageText }) {
  const words = ts.flattenDiagnosticMessageText(messageText, "\n  ");
  if (!file) return words;
  const at = file.getLineAndCharacterOfPosition(start);
  return `${relative(process.cwd(), file.fileName)}:${at.line + 1}:${at.character + 1} ${words}`;
}

/** Runs the worker's file as a CommonJS module, without what ties it to a browser: its system is Node then. */
function compiler() {
  const file = join(here, "node_modules/monaco-editor/esm/vs/language/typescript/ts.worker.js");
  const source = readFileSync(file, "utf8")
    .replace(/^import .*$/m, "const self = {};")
    .replace("var require2 = void 0;", "var require2 = require;")
    .replace(/^export \{[^}]*\};?$/m, "Object.assign(exports, { ts: typescript, libraries: libFileMap });");
  const module = new Module(file);
  module._compile(source, file);
  return module.exports;
}
