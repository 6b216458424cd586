// Loaded into server processes before their own code (`--import`): while the gate is closed, a sequence takes at most ENGINE_GATE_STEPS
// steps. Cancelling, draining and everything else goes on as ever. The gate is closed while the file ENGINE_GATE is there.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";

const file = process.env["ENGINE_GATE"];
const most = Number(process.env["ENGINE_GATE_STEPS"]);

if (!isMainThread && file !== undefined) {
  const { Engine } = await import("../../../src/inference/engine/engine.js");
  const { Scheduler } = await import("../../../src/inference/engine/scheduler.js");
  const steps = new WeakMap<object, number>();
  let isAtGate = false;

  const next = Object.getOwnPropertyDescriptor(Scheduler.prototype, "next")?.value as typeof Scheduler.prototype.next;
  Scheduler.prototype.next = function () {
    const all = next.call(this);
    const isClosed = existsSync(file);
    const going = isClosed ? all.filter((sequence) => (steps.get(sequence) ?? 0) < most) : all;
    for (const sequence of going) steps.set(sequence, (steps.get(sequence) ?? 0) + 1);
    isAtGate = going.length === 0;
    return going;
  };

  const step = Object.getOwnPropertyDescriptor(Engine.prototype, "step")?.value as typeof Engine.prototype.step;
  Engine.prototype.step = async function () {
    const stepped = await step.call(this);
    // All stand at the gate: no reason to run round and round.
    if (isAtGate) await sleep(5);
    return stepped;
  };
}
