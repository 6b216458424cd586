// A process that runs models for others: one BullWorker per model that is loaded, their announcements, its control channel, and the drain at the end.
import type { EngineFacts } from "../../inference/catalog/engine-facts.js";
import type { Inference } from "../../inference/inference.js";
import type { Logger } from "../../telemetry/log.js";
import type { ScaleOutMetrics, WorkerLevel } from "../../telemetry/scale-out-metrics.js";
import type { Tracing } from "../../telemetry/tracing/spans.js";
import { usualJobTimings, type JobTimings } from "./bull-job.js";
import { BullWorker } from "./bull-worker.js";
import { WebhookOutbox } from "./bull-webhooks.js";
import { JobQueues } from "./job-queues.js";
import { LogWriter } from "../redis/log-writer.js";
import { connectRedis, type RedisConnection } from "../redis/redis.js";
import { poll } from "../timers.js";
import { SharedLog } from "../redis/shared-log.js";
import type { GenerationRecord } from "../log/token-log.js";
import { Announcer, announceEveryMs, type Announcement, controlChannel, readControl } from "./workers.js";

export interface WorkerNodeOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly ttlMs: number;
  readonly inference: Pick<Inference, "continue" | "models" | "digest" | "variant" | "facts">;
  /** Of one model: engines × rows. */
  readonly capacity: number;
  readonly metrics: ScaleOutMetrics;
  readonly logger: Logger;
  readonly tracing?: Tracing | null;
  /** Unique among processes, without white space. */
  readonly worker: string;
  readonly version: string;
  readonly timings?: JobTimings;
  /** Restart a worker that takes no jobs for this long although some are waiting. */
  readonly stallTimeoutMs?: number;
}

interface Served {
  readonly bull: BullWorker;
  readonly announcement: Announcement;
}

const usualStallTimeoutMs = 30_000;
const retryMs = 100;
const gatherMs = 20;
const wholeGatherMs = 200;
const lookEveryMs = 250;

export class WorkerNode {
  readonly #options: WorkerNodeOptions;
  /** Its connection is for the log alone: nothing slow goes before appends. */
  readonly #shared: SharedLog;
  readonly #commands: RedisConnection;
  readonly #control: RedisConnection;
  readonly #jobs: RedisConnection;
  readonly #queues: JobQueues;
  readonly #outbox: WebhookOutbox;
  readonly #writer: LogWriter;
  readonly #announcer: Announcer;
  readonly #served = new Map<string, Served>();
  #stopPolling = (): void => undefined;
  #announcedAt = -Infinity;
  #drained: Promise<void> | null = null;

  constructor(options: WorkerNodeOptions) {
    const { redisUrl, prefix, ttlMs, metrics, logger, worker } = options;
    this.#options = options;
    const onError = (error: Error) => logger.debug({ err: error }, "redis");
    this.#shared = new SharedLog({ url: redisUrl, prefix, ttlMs, nodeId: worker, onError });
    this.#commands = connectRedis(redisUrl, { role: "commands", onError });
    this.#control = connectRedis(redisUrl, { role: "subscriber", onError });
    this.#jobs = connectRedis(redisUrl, { role: "worker", onError });
    this.#queues = new JobQueues(this.#commands.client, prefix);
    this.#outbox = new WebhookOutbox(this.#commands.client, prefix);
    this.#announcer = new Announcer(this.#commands.client, prefix);
    this.#writer = new LogWriter({
      flush: (requests) => this.#shared.flush(requests),
      onAppended: (seconds) => metrics.appended(seconds),
      onFenced: () => metrics.fenced(),
      onFault: (id, error) => logger.error({ generation_id: id, err: error }, "append refused"),
      retryMs,
      gatherMs,
      wholeGatherMs,
    });
    this.#control.client.on("message", (_channel, text) => this.#obey(text));
    this.#control.onChange((isUp) => isUp && this.#subscribe());
  }

  get isUp(): boolean {
    return this.#shared.commands.isUp && this.#jobs.isUp;
  }

  get #isDraining(): boolean {
    return this.#drained !== null;
  }

  /** One per model served now. */
  get bulls(): readonly BullWorker[] {
    return [...this.#served.values()].map(({ bull }) => bull);
  }

  levels(): WorkerLevel[] {
    return this.bulls.map(({ level }) => level);
  }

  /** Models are served as they become ready. */
  start(): void {
    const { logger } = this.#options;
    const look = () => this.#look().catch((error: unknown) => logger.debug({ err: error }, "not announced"));
    this.#stopPolling = poll(look, lookEveryMs, 0);
  }

  /** No new jobs; what runs may end until `timeoutMs` have passed, and is handed over then. */
  drain(timeoutMs: number): Promise<void> {
    this.#drained ??= this.#drain(timeoutMs);
    return this.#drained;
  }

  async #drain(timeoutMs: number): Promise<void> {
    this.#stopPolling();
    const served = [...this.#served.values()];
    await this.#announcer.withdraw(served.map(({ announcement }) => announcement)).catch(() => undefined);
    await Promise.all(served.map(({ bull }) => bull.drain(timeoutMs)));
  }

  async close(): Promise<void> {
    await this.#outbox.close();
    await this.#queues.close();
    await Promise.all([this.#shared, this.#commands, this.#control, this.#jobs].map((one) => one.close()));
  }

  async #look(): Promise<void> {
    for (const { name, state } of this.#options.inference.models()) {
      const served = this.#served.get(name);
      if (served === undefined && (state === "ready" || state === "idle")) await this.#serve(name);
      if (served !== undefined && state === "failed") await this.#retire(name, served);
    }
    const now = performance.now();
    if (this.#isDraining || now - this.#announcedAt < announceEveryMs) return;
    await this.#announcer.announce([...this.#served.values()].map(({ announcement }) => announcement));
    this.#announcedAt = now;
  }

  async #serve(model: string): Promise<void> {
    const { inference, prefix, capacity, metrics, logger, worker, version, timings, stallTimeoutMs } = this.#options;
    const target = { model, digest: await inference.digest(model) };
    const facts: EngineFacts | null = inference.facts(model);
    if (this.#isDraining) return;
    const variant = inference.variant(model) ?? "";
    const bull = new BullWorker({
      target,
      prefix,
      connection: this.#jobs.client,
      timings: timings ?? usualJobTimings,
      capacity,
      metrics,
      logger,
      tracing: this.#options.tracing ?? null,
      worker,
      variant,
      log: this.#shared.log,
      writer: this.#writer,
      continueRun: (prepared, logged, signal) => inference.continue(prepared, logged, signal),
      onEnded: (id, record) => this.#ended(id, record),
      retryMs,
      depth: async () => (await this.#queues.counts(target)).waiting,
      nudge: () => this.#queues.nudge(target),
      stallTimeoutMs: stallTimeoutMs ?? usualStallTimeoutMs,
    });
    this.#served.set(model, { bull, announcement: { ...target, worker, variant, rows: capacity, version, facts } });
    this.#announcedAt = -Infinity;
    logger.info({ model, worker, digest: target.digest.slice(0, 12), variant, rows: capacity }, "takes jobs");
  }

  // The API node that started it does the same, if it is still there: the job is one.
  async #ended(id: string, record: GenerationRecord | null): Promise<void> {
    try {
      const found = record === null ? await this.#shared.log.find(id) : { record };
      if (typeof found !== "string" && found.record.webhookUrl !== null) await this.#outbox.enqueue(id);
    } catch (error) {
      this.#options.logger.warn({ generation_id: id, err: error }, "webhook not queued");
    }
  }

  // Its engines are gone: others may do better.
  async #retire(model: string, { bull, announcement }: Served): Promise<void> {
    this.#served.delete(model);
    await this.#announcer.withdraw([announcement]).catch(() => undefined);
    await bull.drain(0);
  }

  #subscribe(): void {
    const { prefix, worker } = this.#options;
    // When it fails the connection is broken, and there is a next time.
    this.#control.client.subscribe(controlChannel(prefix, worker)).catch(() => undefined);
  }

  #obey(text: string): void {
    const message = readControl(text);
    if (message === null) return;
    for (const { bull } of this.#served.values()) bull.cancel(message.id);
  }
}
