// What tests and benches start ends with them, also when they are killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { until } from "../support/until.js";

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("children end with a process that is killed, those in groups of their own with all they started", async () => {
  const script = `
    import { spawn } from "node:child_process";
    import { once } from "node:events";
    import { guarded } from "./dist/bench/tools/child-guard.js";
    const sleep = ["-e", "setTimeout(() => {}, 600000)"];
    const child = guarded(spawn(process.execPath, sleep));
    const ended = guarded(spawn(process.execPath, sleep));
    const nested = 'const { pid } = require("node:child_process").spawn(process.execPath, ' + JSON.stringify(sleep) + '); console.log(pid); setTimeout(() => {}, 600000)';
    const group = guarded(spawn(process.execPath, ["-e", nested], { detached: true }), true);
    const [line] = await once(group.stdout, "data");
    ended.kill();
    await once(ended, "exit");
    console.log(JSON.stringify([child.pid, group.pid, Number(line)]));
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pids = JSON.parse(line.toString()) as number[];
  assert.deepEqual(pids.map(isAlive), [true, true, true]);
  parent.kill("SIGKILL");
  await until(() => pids.every((pid) => !isAlive(pid)), "the end of all children");
});
