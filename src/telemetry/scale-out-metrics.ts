// What API nodes and workers measure of the queue between them: plain typed calls, as in metrics.ts, which makes this.
import type { Definitions } from "./metric-definitions.js";

export interface JobLevel {
  readonly model: string;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** What a worker holds of one model's jobs. */
export interface WorkerLevel {
  readonly model: string;
  readonly jobs: number;
  /** What they take of `capacity`. */
  readonly rows: number;
  readonly capacity: number;
}

/** What Redis says of itself. */
export interface RedisLevel {
  readonly memoryBytes: number;
  /** 0: none. */
  readonly memoryLimitBytes: number;
  readonly evictedKeys: number;
  readonly clients: number;
  readonly commands: number;
  readonly canWriteAof: boolean;
}

/** What is asked at each scrape. */
export interface ScaleOutSources {
  readonly role: string;
  readonly isRedisUp: () => boolean;
  /** Empty on nodes that leave this to others, so that no series comes twice; so are the next two. */
  readonly jobs: () => Promise<readonly JobLevel[]>;
  /** Workers that announce themselves, by model. */
  readonly workers: () => Promise<Readonly<Record<string, number>>>;
  readonly redis: () => Promise<RedisLevel | null>;
  /** Of this process. */
  readonly held: () => readonly WorkerLevel[];
}

export class ScaleOutMetrics {
  readonly #metrics: Definitions;
  #sources: ScaleOutSources | null = null;

  constructor(metrics: Definitions) {
    this.#metrics = metrics;
  }

  watch(sources: ScaleOutSources): void {
    this.#sources = sources;
  }

  /** Its counters begin at 0. */
  serves(model: string): void {
    const { jobRedeliveries, lockRenewFailures, watchdogRestarts, handoffs } = this.#metrics;
    for (const counter of [jobRedeliveries, lockRenewFailures, watchdogRestarts, handoffs]) counter.inc({ model }, 0);
  }

  jobRedelivered(model: string): void {
    this.#metrics.jobRedeliveries.inc({ model });
  }

  lockRenewalFailed(model: string): void {
    this.#metrics.lockRenewFailures.inc({ model });
  }

  handedOver(model: string): void {
    this.#metrics.handoffs.inc({ model });
  }

  watchdogRestarted(model: string): void {
    this.#metrics.watchdogRestarts.inc({ model });
  }

  fenced(): void {
    this.#metrics.fencedAppends.inc();
  }

  appended(seconds: number): void {
    this.#metrics.logAppend.observe(seconds);
  }

  /** From a token's append to its delivery on an API node, by the clocks of the two machines. */
  delivered(seconds: number): void {
    this.#metrics.streamLag.observe(Math.max(0, seconds));
  }

  async sample(): Promise<void> {
    if (this.#sources === null) return;
    const { role, isRedisUp, jobs, workers, redis, held } = this.#sources;
    const isUp = isRedisUp();
    this.#metrics.redisUp.set({ role }, isUp ? 1 : 0);
    this.#sampleHeld(held());
    // While Redis does not answer its numbers are unknown: no series is better than an old one.
    const [levels, counts, level] = await Promise.all([
      isUp ? jobs().catch(() => []) : [],
      workers().catch(() => ({})),
      isUp ? redis().catch(() => null) : null,
    ]);
    this.#metrics.jobs.reset();
    for (const { model, ...states } of levels)
      for (const [state, count] of Object.entries(states)) this.#metrics.jobs.set({ model, state }, count);
    for (const [model, count] of Object.entries(counts)) this.#metrics.workers.set({ model }, count);
    this.#sampleRedis(role, level);
  }

  #sampleHeld(levels: readonly WorkerLevel[]): void {
    const { workerJobs, workerRows, workerCapacity } = this.#metrics;
    for (const gauge of [workerJobs, workerRows, workerCapacity]) gauge.reset();
    for (const { model, jobs, rows, capacity } of levels) {
      workerJobs.set({ model }, jobs);
      workerRows.set({ model }, rows);
      workerCapacity.set({ model }, capacity);
    }
  }

  #sampleRedis(role: string, level: RedisLevel | null): void {
    const metrics = this.#metrics;
    const { redisMemory, redisMemoryLimit, redisClients, redisAofOk } = metrics;
    for (const gauge of [redisMemory, redisMemoryLimit, redisClients, redisAofOk]) gauge.reset();
    if (level === null) return;
    redisMemory.set({ role }, level.memoryBytes);
    redisMemoryLimit.set({ role }, level.memoryLimitBytes);
    redisClients.set({ role }, level.clients);
    redisAofOk.set({ role }, level.canWriteAof ? 1 : 0);
    for (const [counter, total] of [
      [metrics.redisEvictions, level.evictedKeys],
      [metrics.redisCommands, level.commands],
    ] as const) {
      counter.reset();
      counter.inc({ role }, total);
    }
  }
}
