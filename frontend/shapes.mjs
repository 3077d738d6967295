// Writes the types that follow from elsewhere: what the API answers to each document, and what the templates hold.
// src/js/kinds.js gives them names.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  buildSchema,
  getNamedType,
  isAbstractType,
  isEnumType,
  isListType,
  isNonNullType,
  isScalarType,
  parse,
  typeFromAST,
} from "graphql";
import * as documents from "./src/js/documents.js";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "node_modules/.cache"); // where tsconfig.json looks for them
const schema = buildSchema(readFileSync(join(here, "../schema.graphql"), "utf8"));
const SCALARS = { Int: "number", Float: "number", BigInt: "number", Boolean: "boolean" }; // all others are strings in JSON
const VOID = new Set(["area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]);

const written = `/** What the API answers to each document. */
export interface Answers {
${each(([name, { selectionSet }, root]) => `  ${name}: ${object(root, selectionSet, "  ")};`)}
}

/** What each document wants to be told. */
export interface Variables {
${each(([name, { variableDefinitions }]) => `  ${name}: ${variables(variableDefinitions)};`)}
}
${inputs().join("")}
/** The elements called \`data-part\`, by their names. */
export interface Parts {
${record(parts())}
}

/** What a clone of each template is. */
export interface Templates {
${record(templates())}
}
`;

mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "shapes.d.ts"), written);

function each(write) {
  return Object.entries(documents)
    .map(([name, text]) => {
      const [operation] = parse(text).definitions;
      return write([name, operation, schema.getRootType(operation.operation)]);
    })
    .join("\n");
}

/** A value of this type, with null where it may be, as `inner` writes what it is made of. */
function value(type, inner, isInput = false) {
  if (isNonNullType(type)) return bare(type.ofType, inner, isInput);
  return `${bare(type, inner, isInput)} | null`;
}

function bare(type, inner, isInput) {
  if (isListType(type)) return `Array<${value(type.ofType, inner, isInput)}>`;
  if (isEnumType(type))
    return type
      .getValues()
      .map(({ name }) => JSON.stringify(name))
      .join(" | ");
  return isScalarType(type) ? (SCALARS[type.name] ?? "string") : inner(type);
}

/** What is selected of a type; of one that may be several, each of them, with the fields of the others as undefined. */
function object(type, set, indent) {
  if (!isAbstractType(type)) return braces(fields(type, set, `${indent}  `), indent);
  const members = schema.getPossibleTypes(type).map((member) => fields(member, set, `${indent}  `));
  const names = new Set(members.flatMap((member) => [...member.keys()]));
  for (const member of members) for (const name of names) if (!member.has(name)) member.set(`${name}?`, "undefined");
  return members.map((member) => braces(member, indent)).join(" | ");
}

function fields(type, { selections }, indent, into = new Map()) {
  for (const { kind, name, alias, selectionSet, typeCondition } of selections) {
    if (kind === "InlineFragment") {
      const wanted = schema.getType(typeCondition.name.value);
      if (wanted === type || (isAbstractType(wanted) && schema.isSubType(wanted, type)))
        fields(type, selectionSet, indent, into);
    } else if (name.value === "__typename") into.set(name.value, JSON.stringify(type.name));
    else
      into.set(
        (alias ?? name).value,
        value(type.getFields()[name.value].type, (of) => object(of, selectionSet, indent)),
      );
  }
  return into;
}

function braces(members, indent) {
  return `{\n${[...members].map(([name, type]) => `${indent}  ${name}: ${type};\n`).join("")}${indent}}`;
}

function variables(definitions) {
  const written = definitions.map(({ variable, type, defaultValue }) => {
    const wanted = typeFromAST(schema, type);
    return `${variable.name.value}${isNonNullType(wanted) && !defaultValue ? "" : "?"}: ${value(wanted, ({ name }) => name, true)}`;
  });
  return written.length ? `{ ${written.join("; ")} }` : "Record<string, never>";
}

/** The input types that the documents' variables are of, and theirs. */
function inputs() {
  const wanted = new Set();
  const want = (type) => {
    const named = getNamedType(type);
    if (isScalarType(named) || isEnumType(named) || wanted.has(named)) return;
    wanted.add(named);
    for (const field of Object.values(named.getFields())) want(field.type);
  };
  each(([, { variableDefinitions }]) => variableDefinitions.forEach(({ type }) => want(typeFromAST(schema, type))));
  return [...wanted].map(({ name, ...input }) => {
    const members = Object.values(schema.getType(name).getFields()).map(
      (field) =>
        `  ${field.name}${isNonNullType(field.type) && field.defaultValue === undefined ? "" : "?"}: ${value(field.type, (of) => of.name, true)};\n`,
    );
    return `\nexport interface ${name} {\n${members.join("")}}\n`;
  });
}

function html() {
  const pieces = join(here, "src/html");
  return [join(here, "src/index.html"), ...readdirSync(pieces).map((name) => join(pieces, name))]
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
}

function parts() {
  const found = new Map();
  for (const [, tag, name] of html().matchAll(/<([a-z]\w*)[^>]* data-part="([\w-]+)"/g))
    found.set(name, (found.get(name) ?? new Set()).add(element(tag)));
  return [...found].map(([name, kinds]) => [name, [...kinds].sort().join(" | ")]);
}

/** One element at the top is what a clone is; several are a fragment. */
function templates() {
  return [...html().matchAll(/<template id="([\w-]+)">(.*?)<\/template>/gs)].map(([, id, content]) => {
    const tops = [];
    let depth = 0;
    for (const [, close, tag, empty] of content.matchAll(/<(\/?)([a-z]\w*)[^>]*?(\/?)>/g)) {
      if (close) depth -= 1;
      else if (depth === 0) tops.push(tag);
      if (!close && !empty && !VOID.has(tag)) depth += 1;
    }
    return [id, tops.length === 1 ? element(tops[0]) : "DocumentFragment"];
  });
}

function element(tag) {
  return `${["svg", "use"].includes(tag) ? "SVG" : "HTML"}ElementTagNameMap["${tag}"]`;
}

function record(entries) {
  return [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, type]) => `  ${JSON.stringify(name)}: ${type};`)
    .join("\n");
}
