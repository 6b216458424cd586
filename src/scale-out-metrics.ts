// What API nodes and workers measure of the queue between them: plain typed calls, as in metrics.ts, which makes this.
import type { Definitions } from "./metric-definitions.js";

export interface JobLevel {
  readonly model: string;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** What is asked at each scrape. */
export interface ScaleOutSources {
  readonly role: string;
  readonly isRedisUp: () => boolean;
  /** Empty on nodes that leave this to others, so that no series comes twice. */
  readonly jobs: () => Promise<readonly JobLevel[]>;
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
    const isUp = this.#sources.isRedisUp();
    this.#metrics.redisUp.set({ role: this.#sources.role }, isUp ? 1 : 0);
    this.#metrics.jobs.reset();
    if (!isUp) return;
    for (const { model, ...levels } of await this.#sources.jobs().catch(() => [])) {
      for (const [state, count] of Object.entries(levels)) this.#metrics.jobs.set({ model, state }, count);
    }
  }
}
