// What the server measures, as plain typed calls: no other layer knows of Prometheus. metric-definitions.ts names and explains each metric.
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { collectDefaultMetrics, Registry } from "prom-client";
import { defineMetrics, type Definitions } from "./metric-definitions.js";
import { ScaleOutMetrics } from "./scale-out-metrics.js";
import type { FinishReason } from "../generation.js";
import type { StepReport } from "../inference/protocol/engine-protocol.js";

const outcomes = ["ok", "error", "cancelled", "timeout", "rejected"] as const;
export type Outcome = (typeof outcomes)[number];

const resumeResults = ["resumed", "ended", "expired", "log_lost", "unknown"] as const;
/** "ended": nothing is left to read. */
export type ResumeResult = (typeof resumeResults)[number];

const webhookResults = ["delivered", "retried", "given_up"] as const;
export type WebhookResult = (typeof webhookResults)[number];

/** How a generation went. Seconds, on a monotonic clock. */
export interface GenerationReport {
  readonly outcome: Outcome;
  /** Of the first output; null when there is none. */
  readonly finishReason: FinishReason | null;
  readonly queueSeconds: number;
  /** From arrival, or null when no token came. The time per output token is computed from it. */
  readonly firstTokenSeconds?: number | null;
  readonly totalSeconds: number;
  readonly sourceTokens: number;
  /** Over all outputs. */
  readonly generatedTokens: number;
}

export interface LoadedModel {
  readonly layout: string;
  readonly device: string;
  readonly dtype: string;
  readonly version: string | null;
  /** Threads that run it here. */
  readonly engines: number;
  readonly loadSeconds: number;
  /** null: not known. */
  readonly weightBytes: number | null;
  readonly loadedBytes: number | null;
}

export interface ModelState {
  readonly name: string;
  readonly state: "loading" | "ready" | "idle" | "failed";
}

export interface HttpReport {
  /** The route's pattern, never the path a client sent. */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

export interface QueueLevel {
  readonly queuedRequests: number;
  readonly queuedTokens: number;
}

/** Cheap to call. Numbers must be finite. */
export interface Metrics {
  /** `read` is called now, for counters that begin at 0 (so that the first event of a kind is an increase), and at each scrape. */
  watchModels(read: () => readonly ModelState[]): void;
  /** One engine step. */
  step(model: string, report: StepReport): void;
  /** A generation was prepared and goes to the queue. Each is followed by exactly one generationEnded. */
  generationStarted(model: string): void;
  firstToken(model: string, seconds: number): void;
  /** Gaps between tokens, in batches. */
  interToken(model: string, seconds: readonly number[]): void;
  generationEnded(model: string, report: GenerationReport): void;
  /** One was refused before it was prepared: it has neither start nor end. */
  generationRefused(model: string): void;
  /** Admission refused a generation. */
  rejected(reason: "requests" | "tokens"): void;
  modelLoaded(model: string, loaded: LoadedModel): void;
  /** Once: what models run on, and why. */
  deviceChosen(device: string, reason: string): void;
  /** Its engines closed for want of requests. */
  modelUnloaded(model: string): void;
  /** `read` is called at each scrape. */
  watchQueue(read: () => Promise<QueueLevel>): void;
  readonly scaleOut: ScaleOutMetrics;
  clientDisconnected(): void;
  /** A reader asked for what comes after a number it had. */
  resumed(result: ResumeResult): void;
  webhookAttempted(result: WebhookResult): void;
  streamOpened(): void;
  streamClosed(): void;
  httpAnswered(report: HttpReport): void;
  /** The exposition for a scrape, in `contentType`. */
  text(): Promise<string>;
  readonly contentType: string;
  /** Stops the event loop's timer. */
  close(): void;
}

/** Metrics of one process. `runtime: false` leaves Node's own out (tests that make many of these). */
export function createMetrics(version: string, options: { readonly runtime: boolean } = { runtime: true }): Metrics {
  const registry = new Registry();
  if (options.runtime) collectDefaultMetrics({ register: registry });
  return new PrometheusMetrics(registry, version);
}

class PrometheusMetrics implements Metrics {
  readonly scaleOut: ScaleOutMetrics;
  readonly #registry: Registry;
  readonly #metrics: Definitions;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });
  /** Models that stepped since the last scrape, and before it. */
  #stepped = new Set<string>();
  #steppedBefore = new Set<string>();
  #utilization = performance.eventLoopUtilization();
  #readModels: () => readonly ModelState[] = () => [];
  #readQueue: () => Promise<QueueLevel> = () => Promise.resolve({ queuedRequests: 0, queuedTokens: 0 });

  constructor(registry: Registry, version: string) {
    this.#registry = registry;
    this.#metrics = defineMetrics(registry);
    this.scaleOut = new ScaleOutMetrics(this.#metrics);
    this.#metrics.buildInfo.set({ version, node: process.version }, 1);
    for (const reason of ["requests", "tokens"]) this.#metrics.rejected.inc({ reason }, 0);
    for (const result of resumeResults) this.#metrics.resumes.inc({ result }, 0);
    for (const result of webhookResults) this.#metrics.webhookAttempts.inc({ result }, 0);
    this.#loopDelay.enable();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  watchModels(read: () => readonly ModelState[]): void {
    this.#readModels = read;
    for (const { name: model } of read()) {
      for (const outcome of outcomes) this.#metrics.requests.inc({ model, outcome }, 0);
      this.scaleOut.serves(model);
    }
  }

  step(model: string, report: StepReport): void {
    const metrics = this.#metrics;
    this.#stepped.add(model);
    metrics.steps.inc({ model });
    if (report.encodedSources > 0) metrics.stepDuration.observe({ model, phase: "encode" }, report.encodeMs / 1000);
    if (report.rows > 0) {
      metrics.stepDuration.observe({ model, phase: "decode" }, report.decodeMs / 1000);
      metrics.batchRows.observe({ model }, report.rows);
    }
    metrics.stepDuration.observe({ model, phase: "host" }, report.hostMs / 1000);
    if (report.yieldedMs > 0) metrics.stepDuration.observe({ model, phase: "give_way" }, report.yieldedMs / 1000);
    metrics.rowsUsed.set({ model }, report.rows);
    metrics.rowsTotal.set({ model }, report.rowCapacity);
    metrics.engineTokens.inc({ model }, report.tokens);
    metrics.encodedSources.inc({ model }, report.encodedSources);
    metrics.sourceTokens.inc({ model }, report.sourceTokens);
    metrics.paddingTokens.inc({ model }, report.paddedTokens);
    metrics.engineWaiting.set({ model }, report.waiting);
    metrics.engineBusy.inc({ model }, report.busyMs / 1000);
  }

  generationStarted(model: string): void {
    this.#metrics.running.inc({ model });
  }

  firstToken(model: string, seconds: number): void {
    this.#metrics.firstToken.observe({ model }, seconds);
  }

  interToken(model: string, seconds: readonly number[]): void {
    for (const gap of seconds) this.#metrics.interToken.observe({ model }, gap);
  }

  generationEnded(model: string, report: GenerationReport): void {
    const metrics = this.#metrics;
    metrics.running.dec({ model });
    metrics.requests.inc({ model, outcome: report.outcome });
    if (report.outcome === "rejected") return;
    if (report.finishReason !== null) metrics.finishReasons.inc({ model, reason: report.finishReason });
    metrics.queueTime.observe({ model }, report.queueSeconds);
    metrics.duration.observe({ model }, report.totalSeconds);
    metrics.sourceLength.observe({ model }, report.sourceTokens);
    metrics.generatedLength.observe({ model }, report.generatedTokens);
    metrics.generatedTokens.inc({ model }, report.generatedTokens);
    const first = report.firstTokenSeconds ?? null;
    if (first === null || report.generatedTokens < 2) return;
    metrics.perToken.observe({ model }, (report.totalSeconds - first) / (report.generatedTokens - 1));
  }

  generationRefused(model: string): void {
    this.#metrics.requests.inc({ model, outcome: "rejected" });
  }

  rejected(reason: "requests" | "tokens"): void {
    this.#metrics.rejected.inc({ reason });
  }

  modelLoaded(model: string, loaded: LoadedModel): void {
    const metrics = this.#metrics;
    const { layout, device, dtype, version, engines, loadSeconds, weightBytes, loadedBytes } = loaded;
    metrics.modelInfo.set({ model, layout, device, dtype, version: version ?? "" }, 1);
    metrics.modelLoad.set({ model }, loadSeconds);
    metrics.modelLoads.inc({ model });
    metrics.modelLoaded.set({ model }, 1);
    metrics.engines.set({ model }, engines);
    if (weightBytes !== null) metrics.modelWeights.set({ model }, weightBytes);
    if (loadedBytes !== null) metrics.modelLoadedBytes.set({ model }, loadedBytes);
  }

  deviceChosen(device: string, reason: string): void {
    this.#metrics.deviceInfo.set({ device, reason }, 1);
  }

  modelUnloaded(model: string): void {
    this.#metrics.modelLoaded.set({ model }, 0);
    this.#metrics.engines.set({ model }, 0);
  }

  watchQueue(read: () => Promise<QueueLevel>): void {
    this.#readQueue = read;
  }

  clientDisconnected(): void {
    this.#metrics.clientDisconnects.inc();
  }

  resumed(result: ResumeResult): void {
    this.#metrics.resumes.inc({ result });
  }

  webhookAttempted(result: WebhookResult): void {
    this.#metrics.webhookAttempts.inc({ result });
  }

  streamOpened(): void {
    this.#metrics.streamsOpen.inc();
  }

  streamClosed(): void {
    this.#metrics.streamsOpen.dec();
  }

  httpAnswered({ route, method, status, seconds }: HttpReport): void {
    const labels = { route, method, status_class: `${Math.floor(status / 100)}xx` };
    this.#metrics.httpDuration.observe(labels, seconds);
  }

  async text(): Promise<string> {
    await this.#sample();
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
  }

  async #sample(): Promise<void> {
    await this.scaleOut.sample();
    this.#sampleIdle();
    for (const { name: model, state } of this.#readModels())
      this.#metrics.modelFailed.set({ model }, state === "failed" ? 1 : 0);
    const level = await this.#readQueue();
    this.#metrics.queuedRequests.set(level.queuedRequests);
    this.#metrics.queuedTokens.set(level.queuedTokens);
    const now = performance.eventLoopUtilization();
    this.#metrics.loopUtilization.set(performance.eventLoopUtilization(now, this.#utilization).utilization);
    this.#utilization = now;
    const delay = this.#loopDelay;
    for (const [quantile, nanoseconds] of [
      ["0.5", delay.percentile(50)],
      ["0.99", delay.percentile(99)],
      ["1", delay.max],
    ] as const) {
      this.#metrics.loopDelay.set({ quantile }, Math.max(0, nanoseconds / 1e9 - 0.01));
    }
    delay.reset();
  }

  // The report of a last step would stand for ever.
  #sampleIdle(): void {
    for (const model of this.#steppedBefore) if (!this.#stepped.has(model)) this.#metrics.rowsUsed.set({ model }, 0);
    this.#steppedBefore = this.#stepped;
    this.#stepped = new Set();
  }
}
