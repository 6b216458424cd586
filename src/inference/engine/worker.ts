// The engine's thread: loads one model, then steps while there is work, taking messages between steps.
// It is never terminated from outside (that would abort the process): "close" lets it finish its step, free its sessions and exit.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { shouldYield, type SharedLoads } from "../protocol/engine-loads.js";
import type { FromEngine, ToEngine } from "../protocol/engine-protocol.js";
import { checkFiles } from "./check-files.js";
import { Engine, type Clock } from "./engine.js";
import { loadModel } from "./models/load-model.js";
import type { Seq2SeqModel } from "./models/model.js";
import { runtimeVersion } from "./models/onnx-session.js";
import { tryDevice } from "./models/try-device.js";
import { probeModel } from "./probe.js";
import { ThreadPriority, YieldBudget } from "./yielding.js";

const clock: Clock = { elapsed: () => performance.now(), now: () => Date.now() };

class EngineThread {
  readonly #post: (message: FromEngine) => void;
  readonly #priority = new ThreadPriority();
  readonly #budget = new YieldBudget();
  readonly #loads: SharedLoads | null;
  #model: Seq2SeqModel | null = null;
  #engine: Engine | null = null;
  #isStepping = false;
  #isClosing = false;
  #busyMs = 0;

  constructor(post: (message: FromEngine) => void, loads: SharedLoads | null) {
    this.#post = post;
    this.#loads = loads;
  }

  receive(message: ToEngine): void {
    switch (message.type) {
      case "load":
        void this.#load(message);
        break;
      case "submit":
        this.#engine?.submit(message.sequence);
        void this.#stepWhileBusy();
        break;
      case "cancel":
      case "finish":
        this.#engine?.[message.type](message.id);
        break;
      case "try":
        void tryDevice(message.device).then((fault) => this.#post({ type: "tried", fault }));
        break;
      case "close":
        this.#isClosing = true;
        if (!this.#isStepping) void this.#close();
        break;
      default:
        message satisfies never;
    }
  }

  async #load({ plan, options, probe }: Extract<ToEngine, { type: "load" }>): Promise<void> {
    const started = performance.now();
    try {
      const weightBytes = checkFiles(plan);
      const { model, notes, facts = null } = await loadModel(plan, options);
      this.#model = model;
      await probeModel(model, probe);
      this.#engine = new Engine(model, options, clock);
      const { vocabSize, hasAttention } = model;
      const loadMs = performance.now() - started;
      const { device } = options;
      const info = { vocabSize, hasAttention, runtime: runtimeVersion, device, notes, loadMs, facts, weightBytes };
      this.#post({ type: "ready", info });
    } catch (error) {
      this.#post({ type: "failed", message: (error as Error).message });
    }
  }

  async #stepWhileBusy(): Promise<void> {
    if (this.#isStepping || this.#engine === null) return;
    this.#isStepping = true;
    while (!this.#engine.isIdle && !this.#isClosing) {
      const yieldedMs = await this.#yieldToOthers();
      const started = performance.now();
      const stepped = await this.#engine.step();
      this.#budget.addWork(performance.now() - started);
      this.#post({ ...stepped, report: { ...stepped.report, busyMs: this.#busySinceLast(), yieldedMs } });
      this.#priority.adjust(stepped.report);
      // Messages are delivered between turns of the event loop; without this an engine whose runs resolve at once would starve them.
      await new Promise(setImmediate);
    }
    this.#isStepping = false;
    if (this.#isClosing) await this.#close();
  }

  /** Returns the milliseconds paused. Not with Atomics.wait: messages keep coming in, and the time does not count as busy. */
  async #yieldToOthers(): Promise<number> {
    const started = performance.now();
    let now = started;
    while (this.#loads !== null && this.#budget.hasCredit && !this.#isClosing && shouldYield(this.#loads)) {
      await sleep(1);
      this.#budget.spend(performance.now() - now);
      now = performance.now();
    }
    return now - started;
  }

  #busySinceLast(): number {
    const before = this.#busyMs;
    this.#busyMs = performance.eventLoopUtilization().active;
    return this.#busyMs - before;
  }

  async #close(): Promise<void> {
    await this.#model?.close();
    this.#post({ type: "closed" });
    parentPort?.close();
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const thread = new EngineThread(
    (message) => port.postMessage(message),
    (workerData as SharedLoads | undefined) ?? null,
  );
  port.on("message", (message: ToEngine) => thread.receive(message));
}
