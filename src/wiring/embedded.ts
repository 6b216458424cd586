// Durable generations without Redis: kept, run and reported by this process. parts.ts puts them in where no REDIS_URL is set.
import type { Config } from "../config/config.js";
import type { AppError } from "../errors.js";
import type { Inference } from "../inference/inference.js";
import type { Logger } from "../telemetry/log.js";
import type { Metrics } from "../telemetry/metrics.js";
import { EmbeddedGenerations } from "../queue/memory/memory-generations.js";
import type { Generations } from "../queue/generations.js";
import { MemoryTokenLog } from "../queue/memory/memory-token-log.js";
import type { GenerationQueue } from "../queue/queue.js";
import type { GenerationStatus } from "../queue/log/token-log.js";
import { WebhookTimers, type WebhookOptions } from "../queue/webhooks/webhook-timers.js";
import { signingKey, tracedDelivery } from "../queue/webhooks/webhooks.js";
import type { Tracing } from "../telemetry/tracing/spans.js";
import { stateBody, type DurableStatus } from "../routes/generations/answer.js";

export interface Foundations {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly inference: Pick<Inference, "detokenize">;
  readonly queue: GenerationQueue;
  readonly tracing?: Tracing | null;
}

export interface Embedded {
  readonly generations: Generations;
  /** null without WEBHOOK_SECRET. */
  readonly webhooks: WebhookTimers | null;
}

/** Throws one line when WEBHOOK_SECRET can't sign. */
export function embedded(config: Config, { log, metrics, inference, queue, tracing = null }: Foundations): Embedded {
  const sending = webhookSending(config, { log, metrics, tracing });
  const webhooks = sending === null ? null : new WebhookTimers(sending);
  const onEnded = (status: GenerationStatus) => {
    const { id, webhookUrl, prepared } = status.record;
    if (webhookUrl === null || webhooks === null) return;
    try {
      const body = webhookBody(status as DurableStatus, inference);
      webhooks.send({ messageId: id, url: webhookUrl, body, trace: prepared.trace });
    } catch (err) {
      log.error({ err, generation_id: id }, "webhook could not be written");
    }
  };
  const onFailed = (error: AppError, id: string) => logFailure(log, error, id);
  const tokenLog = new MemoryTokenLog({ ttlMs: config.generationTtlSeconds * 1000, now: () => performance.now() });
  const options = { drainTimeoutMs: config.drainTimeoutMs, onEnded, onFailed };
  return { generations: new EmbeddedGenerations(queue, tokenLog, options), webhooks };
}

/** JSON text: what GET /generations/{id} answers. */
export function webhookBody(status: DurableStatus, { detokenize }: Pick<Inference, "detokenize">): string {
  return JSON.stringify(stateBody(status, (model, id) => detokenize(model, [id], false)));
}

/** How webhooks are signed and logged, in one process or many; null without WEBHOOK_SECRET. Throws one line when that can't sign. */
export function webhookSending(
  config: Config,
  { log, metrics, tracing }: Pick<Foundations, "log" | "metrics" | "tracing">,
): WebhookOptions | null {
  const { webhookSecret: secret, webhookPrivate } = config;
  if (secret === null) return null;
  signingKey(secret);
  return {
    secret,
    allowPrivate: webhookPrivate === "allow",
    ...(tracing == null ? {} : { deliver: tracedDelivery(tracing) }),
    onAttempt: (result, messageId, error) => {
      metrics.webhookAttempted(result);
      // Never the URL: it may hold a secret.
      if (error !== null) log.warn({ generation_id: messageId, reason: error.message, result }, "webhook failed");
    },
  };
}

function logFailure(log: Logger, error: AppError, id: string): void {
  const line = { err: error, code: error.code, generation_id: id };
  if (error.kind === "internal" || error.kind === "generation") log.error(line, "generation failed");
  else log.debug({ code: error.code, generation_id: id }, "generation ended early");
}
