// Which test files `npm test` and `npm run test:all` run, and in which order.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { chooseFiles } from "../../support/choose-files.js";

const all = [
  "dist/test/contract/a.test.js",
  "dist/test/oracle/company.test.js",
  "dist/test/process/a.test.js",
  "dist/test/process/chaos.test.js",
  "dist/test/unit/queue/a.test.js",
  "dist/test/unit/queue/b.test.js",
];

test("fast and rest are together all, the longest first", () => {
  const fast = chooseFiles(all, "fast", []);
  const rest = chooseFiles(all, "rest", []);
  assert.deepEqual(fast, [all[0], all[4], all[5]]);
  assert.deepEqual(rest, [all[3], all[1], all[2]]);
  assert.deepEqual([...chooseFiles(all, "all", [])].sort(), all);
});

test("folders and files, of source or compiled, choose some", () => {
  assert.deepEqual(chooseFiles(all, "fast", ["test/unit/queue/"]), all.slice(4));
  const chosen = chooseFiles(all, "rest", [
    "dist/test/unit/queue/b.test.js",
    "./test/process/a.test.ts",
    "test/process",
  ]);
  assert.deepEqual(chosen, [all[3], all[2], all[5]]);
  assert.throws(() => chooseFiles(all, "fast", ["test/nothing"]), /^Error: test\/nothing: no test there$/u);
});

test("no test of the fast folders starts a process", () => {
  const starters = /node:child_process|support\/(cluster|command|python-environment)\.js|RedisServer|startServer/u;
  const files = ["unit", "contract", "routes"].flatMap((folder) =>
    readdirSync(`test/${folder}`, { recursive: true, encoding: "utf8" }).map((name) => `test/${folder}/${name}`),
  );
  const starting = files.filter((file) => file.endsWith(".ts") && starters.test(readFileSync(file, "utf8")));
  assert.deepEqual(starting, ["test/unit/documents/test-files.test.ts"]);
});
