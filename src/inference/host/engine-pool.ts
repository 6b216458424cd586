// The engines of one model: loads them side by side and gives each sequence to the least busy one.
import type { EngineInfo, Probe } from "../protocol/engine-protocol.js";
import { EngineHost, type EngineHostOptions, type EngineRun, type SubmitSpec } from "./engine-host.js";
import type { ModelPlan } from "../protocol/plan.js";

export class EnginePool {
  readonly #hosts: readonly EngineHost[];

  constructor(count: number, options: EngineHostOptions) {
    // Several engines of one model would yield to each other: nine sequences are five and four.
    const loads = count === 1 ? options.loads : null;
    this.#hosts = Array.from({ length: count }, () => new EngineHost({ ...options, loads }));
  }

  get size(): number {
    return this.#hosts.length;
  }

  /** Rejects with one line for the user; the threads are gone then. */
  async load(plan: ModelPlan, probe: Probe): Promise<EngineInfo> {
    const loads = await Promise.allSettled(this.#hosts.map((host) => host.load(plan, probe)));
    const failed = loads.find((load) => load.status === "rejected");
    if (failed !== undefined) {
      await this.close();
      throw failed.reason as Error;
    }
    const [first] = loads;
    if (first?.status !== "fulfilled") throw new Error("an engine pool needs at least one engine");
    return first.value;
  }

  submit(spec: SubmitSpec, signal: AbortSignal): EngineRun {
    const host = this.#hosts.reduce((least, other) => (other.inFlight < least.inFlight ? other : least));
    return host.submit(spec, signal);
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
  }
}
