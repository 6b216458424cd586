// Webhooks across processes: one small BullMQ job per ended generation that wants one; any API node delivers it, again and again if need be.
//
//   terminal entry ──▶ enqueue (worker, and the API node that started it: the same job id) ──▶ an API node: find ▶ write ▶ deliver
//                                                                             ▲── waits longer each time ──┘ retryable
import { Queue, UnrecoverableError, Worker, type ConnectionOptions, type Job } from "bullmq";
import type { Redis } from "ioredis";
import { setTimeout as sleep } from "node:timers/promises";
import type { WebhookResult } from "../../telemetry/metrics.js";
import { maxEvents } from "./bull-job.js";
import type { LookupResult, LookupStatus } from "../log/token-log.js";
import { unreachable } from "../redis/redis-script.js";
import { retryDelayMs, webhookAttempts } from "../webhooks/webhook-timers.js";
import { deliver, WebhookError, type Deliver } from "../webhooks/webhooks.js";

const queueName = "webhooks";
const usualFirstDelayMs = 5000;
const closePatienceMs = 2000;
/** Calls under way in one process. */
const concurrency = 16;
/** Jobs that BullMQ remembers after their end, so that a repeat of the same generation's end is recognised. */
const finishedJobLimit = { age: 3600, count: 10_000 };

interface WebhookJob {
  readonly schema: 1;
  /** The generation's. */
  readonly id: string;
}

/** Puts webhooks on their way. */
export class WebhookOutbox {
  readonly #redis: Redis;
  readonly #prefix: string;
  #queue: Queue<WebhookJob> | null = null;

  /** @param redis a connection without an offline queue; whoever made it closes it */
  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** Once a generation, however often it is asked. Throws AppError "unavailable". */
  async enqueue(id: string): Promise<void> {
    if (this.#redis.status !== "ready") throw unreachable("Redis");
    this.#queue ??= new Queue<WebhookJob>(queueName, {
      connection: this.#redis,
      prefix: this.#prefix,
      skipVersionCheck: true,
      streams: { events: { maxLen: maxEvents } },
    }).on("error", () => undefined);
    const options = {
      jobId: id,
      attempts: webhookAttempts,
      backoff: { type: "custom" },
      removeOnComplete: finishedJobLimit,
      removeOnFail: finishedJobLimit,
    };
    await this.#queue.add("webhook", { schema: 1, id }, options).catch((error: unknown) => {
      throw unreachable("Redis", error);
    });
  }

  async close(): Promise<void> {
    await this.#queue?.close().catch(() => undefined);
  }
}

export interface WebhookDeliveryOptions {
  /** In role "worker". */
  readonly connection: ConnectionOptions;
  readonly prefix: string;
  readonly find: (id: string) => Promise<LookupResult>;
  readonly secret: string;
  readonly allowPrivate: boolean;
  /** JSON text to send. */
  readonly write: (status: LookupStatus) => string;
  /** Before the second attempt; doubled for each further one. */
  readonly firstDelayMs?: number;
  /** Another than the plain call. */
  readonly deliver?: Deliver;
  /** Called after each attempt, with the error of a failed one. */
  readonly onAttempt: (result: WebhookResult, id: string, error: WebhookError | null) => void;
}

/** Delivers what is in the outbox, beside other nodes. */
export class WebhookDelivery {
  readonly #options: WebhookDeliveryOptions;
  readonly #worker: Worker<WebhookJob>;
  readonly #closing = new AbortController();

  constructor(options: WebhookDeliveryOptions) {
    this.#options = options;
    const { connection, prefix, firstDelayMs = usualFirstDelayMs } = options;
    this.#worker = new Worker(queueName, (job) => this.#deliver(job), {
      connection,
      prefix,
      concurrency,
      maxStalledCount: webhookAttempts,
      runRetryDelay: 500,
      settings: { backoffStrategy: (attempt, _type, error) => delayOf(attempt ?? 1, firstDelayMs, error) },
    });
    this.#worker.on("error", () => undefined);
  }

  /** Calls under way are broken off; other nodes make them again. */
  async close(): Promise<void> {
    await this.#worker.pause(true);
    this.#closing.abort();
    // With Redis away it would wait for it.
    await Promise.race([this.#worker.close(), sleep(closePatienceMs, undefined, { ref: false })]);
  }

  async #deliver(job: Job<WebhookJob>): Promise<void> {
    const { find, write, secret, allowPrivate, onAttempt, deliver: call = deliver } = this.#options;
    const { id } = job.data;
    const status = await find(id);
    if (typeof status === "string" || status.record.webhookUrl === null) return;
    const { webhookUrl, prepared } = status.record;
    const options = { messageId: id, allowPrivate, signal: this.#closing.signal, trace: prepared.trace };
    try {
      await call(webhookUrl, write(status), secret, options);
      onAttempt("delivered", id, null);
    } catch (thrown) {
      const error = thrown instanceof WebhookError ? thrown : unsendableError(thrown);
      const isLast = !error.isRetryable || job.attemptsMade + 1 >= webhookAttempts;
      onAttempt(isLast ? "given_up" : "retried", id, error);
      // The job's text in Redis says no more than the log does.
      throw isLast ? new UnrecoverableError(error.message) : error;
    }
  }
}

function delayOf(attempt: number, firstDelayMs: number, error: Error | undefined): number {
  const askedMs = error instanceof WebhookError ? error.retryAfterMs : null;
  return Math.round(retryDelayMs(attempt, firstDelayMs, Math.random(), askedMs));
}

function unsendableError(cause: unknown): WebhookError {
  return new WebhookError("could not be sent", { isRetryable: false, cause });
}
