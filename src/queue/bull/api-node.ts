// A process that answers requests with models that run elsewhere (or here too): its connections, its picture of the workers, its queue and generations.
import type { EngineFacts } from "../../inference/catalog/engine-facts.js";
import type { Inference } from "../../inference/inference.js";
import type { Metrics } from "../../telemetry/metrics.js";
import type { JobLevel, RedisLevel } from "../../telemetry/scale-out-metrics.js";
import type { Logger } from "../../telemetry/log.js";
import type { Tracing } from "../../telemetry/tracing/spans.js";
import type { ModelAdmission } from "../admission.js";
import type { Target } from "./bull-job.js";
import { BullGenerations } from "./bull-generations.js";
import { BullQueue } from "./bull-queue.js";
import { WebhookDelivery, WebhookOutbox, type WebhookDeliveryOptions } from "./bull-webhooks.js";
import { toLookupResult } from "../log/token-log.js";
import { JobKeeper } from "./job-keeper.js";
import { JobQueues } from "./job-queues.js";
import type { GenerationMetrics } from "../measurement.js";
import { connectRedis, type RedisConnection, readRedisInfo } from "../redis/redis.js";
import { SharedLog } from "../redis/shared-log.js";
import { WorkerDirectory, readAnnouncements, controlChannel, writeControl } from "./workers.js";

export interface ApiNodeOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly ttlMs: number;
  readonly inference: Pick<Inference, "digest" | "models" | "learn">;
  /** Engines run elsewhere only: what workers announce is learnt. */
  readonly learns: boolean;
  readonly admission: ModelAdmission;
  readonly metrics: GenerationMetrics & Pick<Metrics, "scaleOut">;
  readonly logger: Logger;
  /** How webhooks are written and sent; null without WEBHOOK_SECRET. */
  readonly webhooks: Pick<
    WebhookDeliveryOptions,
    "secret" | "allowPrivate" | "write" | "onAttempt" | "firstDelayMs" | "deliver"
  > | null;
  readonly tracing?: Tracing | null;
  /** Unique among processes, without white space. */
  readonly node: string;
  readonly timings?: ApiTimings;
}

export interface ApiTimings {
  /** Silence after which a generation's job is looked after. */
  readonly silenceMs: number;
  /** How long requests for a model wait for a worker that serves it; then they are refused. */
  readonly workerWaitMs: number;
}

const usualTimings: ApiTimings = { silenceMs: 5000, workerWaitMs: 30_000 };
const directoryEveryMs = 1000;
const keeperEveryMs = 250;

export class ApiNode {
  readonly queue: BullQueue;
  readonly generations: BullGenerations;
  readonly #options: ApiNodeOptions;
  readonly #shared: SharedLog;
  readonly #jobs: JobQueues;
  readonly #keeper: JobKeeper;
  readonly #directory: WorkerDirectory;
  readonly #outbox: WebhookOutbox;
  #delivery: { readonly worker: WebhookDelivery; readonly connection: RedisConnection } | null = null;

  constructor(options: ApiNodeOptions) {
    const { redisUrl, prefix, ttlMs, inference, learns, admission, metrics, logger, node } = options;
    const { silenceMs, workerWaitMs: workerPatienceMs } = options.timings ?? usualTimings;
    this.#options = options;
    const onError = (error: Error) => logger.debug({ err: error }, "redis");
    this.#shared = new SharedLog({
      url: redisUrl,
      prefix,
      ttlMs,
      nodeId: node,
      onError,
      onDelivered: (seconds) => metrics.scaleOut.delivered(seconds),
    });
    const { log } = this.#shared;
    const { client } = this.#shared.commands;
    this.#jobs = new JobQueues(client, prefix);
    const flush = this.#shared.flush.bind(this.#shared);
    this.#keeper = new JobKeeper({
      log,
      flush,
      jobs: this.#jobs,
      node,
      silenceMs,
      now: () => Date.now(),
      onError: (err) => logger.debug({ err }, "silent generations are looked after later"),
    });
    this.#directory = new WorkerDirectory({
      read: () => readAnnouncements(client, prefix),
      targets: () => this.#targets(),
      learn: (model, facts) => learns && inference.learn(model, facts as EngineFacts | null),
      now: () => performance.now(),
      workerWaitMs: workerPatienceMs,
    });
    this.#outbox = new WebhookOutbox(client, prefix);
    this.generations = new BullGenerations({
      shared: this.#shared,
      metrics,
      tracing: options.tracing ?? null,
      onEnded: (id) => this.#outbox.enqueue(id),
      jobs: this.#jobs,
      keeper: this.#keeper,
      admission,
      directory: this.#directory,
      digest: (model) => inference.digest(model),
      sendControl: async (worker, message) =>
        void (await client.publish(controlChannel(prefix, worker), writeControl(message))),
    });
    this.queue = new BullQueue(this.generations);
  }

  get isUp(): boolean {
    return this.#shared.commands.isUp;
  }

  /** Resolves when Redis answers. */
  async untilUp(): Promise<void> {
    const { commands } = this.#shared;
    if (commands.isUp) return;
    await new Promise<void>((resolve) => {
      const stop = commands.onChange((isUp) => {
        if (!isUp) return;
        stop();
        resolve();
      });
    });
  }

  start(): void {
    this.#directory.start(directoryEveryMs);
    this.#keeper.start(keeperEveryMs);
    this.#deliver();
  }

  /** Workers that announce themselves now, by model of this node. */
  async workers(): Promise<Readonly<Record<string, number>>> {
    const targets = await this.#targets();
    return Object.fromEntries(targets.map((target) => [target.model, this.#directory.workersOf(target).length]));
  }

  /** Jobs by state, of the models of this node. */
  async jobLevels(): Promise<JobLevel[]> {
    const targets = await this.#targets();
    return Promise.all(targets.map(async (target) => ({ model: target.model, ...(await this.#jobs.counts(target)) })));
  }

  async redisLevel(): Promise<RedisLevel> {
    return readRedisInfo(await this.#shared.commands.client.info());
  }

  /** After queue and generations are closed. */
  async close(): Promise<void> {
    this.#directory.close();
    this.#keeper.close();
    await this.#delivery?.worker.close();
    await this.#delivery?.connection.close();
    await this.#outbox.close();
    await this.#jobs.close();
    await this.#shared.close();
  }

  #deliver(): void {
    const { webhooks, redisUrl, prefix } = this.#options;
    if (webhooks === null) return;
    const connection = connectRedis(redisUrl, { role: "worker" });
    const find = async (id: string) => toLookupResult(await this.#shared.log.find(id));
    const worker = new WebhookDelivery({ ...webhooks, connection: connection.client, prefix, find });
    this.#delivery = { worker, connection };
  }

  // Models whose folder can't be read have no digest.
  async #targets(): Promise<Target[]> {
    const { inference } = this.#options;
    const targets = await Promise.all(
      inference.models().map(async ({ name }) => {
        const digest = await inference.digest(name).catch(() => null);
        return digest === null ? [] : [{ model: name, digest }];
      }),
    );
    return targets.flat();
  }
}
