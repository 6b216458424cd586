// House rules that lint cannot hold: functions are short on the whole, and every source file says what it is.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "acorn";
import { full } from "acorn-walk";

function filesBelow(folder: string, ending: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return entries.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
}

function functionLengths(file: string): number[] {
  const lengths: number[] = [];
  const tree = parse(readFileSync(file, "utf8"), { ecmaVersion: "latest", sourceType: "module", locations: true });
  full(tree, (node) => {
    if (!/Function/.test(node.type) || node.loc == null) return;
    lengths.push(node.loc.end.line - node.loc.start.line + 1);
  });
  return lengths;
}

test("half of all functions are shorter than ten lines", () => {
  const lengths = filesBelow("dist/src", ".js")
    .flatMap(functionLengths)
    .sort((a, b) => a - b);
  const median = lengths[Math.floor(lengths.length / 2)] ?? 0;
  assert.ok(lengths.length > 200);
  assert.ok(median < 10, `the median function has ${median} lines`);
});

test("every source file opens with a line that says what it is", () => {
  const silent = filesBelow("src", ".ts").filter((file) => !readFileSync(file, "utf8").startsWith("// "));
  assert.deepEqual(silent, []);
});
