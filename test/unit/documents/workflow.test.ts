// The workflow for forks keeps to what CONTRIBUTING.md says: .ci/run, on every Node that is supported, with few rights and pinned actions.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";

interface Step {
  readonly uses?: string;
  readonly run?: string;
}
interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: {
    readonly check: {
      readonly strategy: { readonly matrix: { readonly node: readonly string[] } };
      readonly steps: readonly Step[];
    };
  };
}

const text = readFileSync(".github/workflows/ci.yml", "utf8");
const { permissions, jobs } = parse(text) as Workflow;
const { strategy, steps } = jobs.check;

test("the workflow runs .ci/run on the oldest Node that is taken, and on the newest LTS that .ci/run names", () => {
  const { engines } = JSON.parse(readFileSync("package.json", "utf8")) as { engines: { node: string } };
  const [, newest] = /^newest_lts=(\d+)$/mu.exec(readFileSync(".ci/run", "utf8")) ?? [];
  assert.deepEqual(strategy.matrix.node, [engines.node.replace(">=", ""), "22", newest]);
  assert.equal(steps.at(-1)?.run, "bash .ci/run");
});

test("the workflow may read the repository and nothing else, and runs only actions that can't change", () => {
  assert.deepEqual(permissions, { contents: "read" });
  assert.doesNotMatch(text, /secrets\./u);
  const actions = steps.flatMap(({ uses }) => uses ?? []);
  assert.equal(actions.length, 2);
  for (const action of actions) assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/u);
});
