// The docs are held against the code: every option and every error is told of, and every link leads somewhere. Examples are run by e2e/docs.test.ts.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { errorKinds } from "../../../src/errors.js";
import { ParametersSchema, refusalReason } from "../../../src/parameters.js";
import { anchorsOf, linksOf, pages, rowsOf } from "../../support/documents/markdown.js";

const code = (cell: string | undefined): string => /^`([^`]+)`$/u.exec(cell ?? "")?.[1] ?? `not code: ${cell}`;

test("docs/decoding.md has one row for every parameter, with the bounds of its schema, and no other rows", () => {
  const rows = new Map(rowsOf("docs/decoding.md", "parameter").map(([name, values = ""]) => [code(name), values]));
  const taken = Object.entries(ParametersSchema.properties).filter(([name]) => refusalReason(name) === null);
  assert.deepEqual([...rows.keys()].sort(), taken.map(([name]) => name).sort());
  for (const [name, schema] of taken) {
    const bounds = boundsOf(schema as Bounds);
    if (bounds !== null) assert.equal(rows.get(name), bounds, name);
  }
});

test("docs/decoding.md names every parameter that is known and refused", () => {
  const rows = rowsOf("docs/decoding.md", "known and refused").flatMap(([names = ""]) => names.split(", ").map(code));
  const refused = Object.keys(ParametersSchema.properties).filter((name) => refusalReason(name) !== null);
  assert.deepEqual(rows.sort(), refused.sort());
});

test("docs/errors.md has a row for every kind of error, with its status and code", () => {
  const rows = rowsOf("docs/errors.md", "status").map(([status, errorType, kind]) => [
    status,
    code(errorType),
    code(kind),
  ]);
  const kinds = Object.entries(errorKinds).map(([kind, { status, code: name }]) => [String(status), name, kind]);
  assert.deepEqual(rows.sort(), kinds.sort());
});

test("every link leads to a file of the project, and to a heading of it", () => {
  const dead = pages().flatMap((page) =>
    linksOf(page)
      .filter(([, file, anchor]) => !leads(file, anchor))
      .map(([link]) => `${page}: ${link}`),
  );
  assert.deepEqual(dead, []);
});

test("every page of docs/ is linked from the README or docs/README.md", () => {
  const linked = new Set(["README.md", "docs/README.md"].flatMap((page) => linksOf(page).map(([, file]) => file)));
  const lost = pages().filter((page) => /^docs\/[^/]+\.md$/u.test(page) && !linked.has(page));
  assert.deepEqual(lost, []);
});

test("every path that a page names is there", () => {
  const path = /`((?:src|test|bench|deploy|docs|training|web)\/[^`\s]*)`/gu;
  const gone = pages().flatMap((page) =>
    [...readFileSync(page, "utf8").matchAll(path)]
      .map(([, named = ""]) => named)
      .filter((named) => !named.includes("*") && !existsSync(named))
      .map((named) => `${page}: ${named}`),
  );
  assert.deepEqual(gone, []);
});

function leads(file: string, anchor: string): boolean {
  if (!existsSync(file)) return false;
  return anchor === "" || !file.endsWith(".md") || anchorsOf(file).includes(anchor);
}

interface Bounds {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** As the table writes them; null for lists, texts and options of several types, which it describes in words. */
function boundsOf(schema: Bounds): string | null {
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (types.length !== 1 || types[0] === "array" || types[0] === "string") return null;
  if (schema.enum !== undefined) return null;
  if (types[0] === "boolean") return "true, false";
  const least =
    schema.exclusiveMinimum === undefined ? shown(schema.minimum) : `above ${shown(schema.exclusiveMinimum)}`;
  return schema.exclusiveMaximum === undefined
    ? `${least} to ${shown(schema.maximum)}`
    : `${least} to below ${shown(schema.exclusiveMaximum)}`;
}

const powers = new Map([
  [Number.MAX_SAFE_INTEGER, "2^53 − 1"],
  [2 ** 31 - 1, "2^31 − 1"],
]);

function shown(value = NaN): string {
  return powers.get(value) ?? value.toLocaleString("en");
}
