// Generations that outlive their request, without Redis: stored, run and reported by this process. parts.ts makes them where there is no API node.
import type { Config } from "../config/config.js";
import type { AppError } from "../errors.js";
import type { Logger } from "../telemetry/log.js";
import type { Metrics } from "../telemetry/metrics.js";
import { MemoryGenerations } from "../queue/memory/memory-generations.js";
import type { Generations } from "../queue/generations.js";
import { MemoryTokenLog } from "../queue/memory/memory-token-log.js";
import type { GenerationQueue } from "../queue/queue.js";
import type { LookupStatus } from "../queue/log/token-log.js";
import { WebhookTimers, type WebhookOptions } from "../queue/webhooks/webhook-timers.js";
import { signingKey, tracedDelivery } from "../queue/webhooks/webhooks.js";
import type { Tracing } from "../telemetry/tracing/spans.js";

export interface GenerationsParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly queue: GenerationQueue;
  readonly tracing?: Tracing | null;
  /** JSON text of a webhook. */
  readonly writeWebhook: (status: LookupStatus) => string;
}

export interface LocalGenerations {
  readonly generations: Generations;
  /** Null without WEBHOOK_SECRET, and where API nodes send them. */
  readonly webhooks: WebhookTimers | null;
}

/** Throws one line when WEBHOOK_SECRET can't sign. */
export function localGenerations(config: Config, parts: GenerationsParts): LocalGenerations {
  const { log, metrics, queue, tracing = null, writeWebhook } = parts;
  const sending = webhookSending(config, { log, metrics, tracing });
  const webhooks = sending === null ? null : new WebhookTimers(sending);
  const onEnded = (status: LookupStatus) => {
    const { id, webhookUrl, prepared } = status.record;
    if (webhookUrl === null || webhooks === null) return;
    try {
      webhooks.send({ messageId: id, url: webhookUrl, body: writeWebhook(status), trace: prepared.trace });
    } catch (err) {
      log.error({ err, generation_id: id }, "webhook could not be written");
    }
  };
  const onFailed = (error: AppError, id: string) => logFailure(log, error, id);
  const tokenLog = new MemoryTokenLog({ ttlMs: config.generationTtlSeconds * 1000, now: () => performance.now() });
  const options = { drainTimeoutMs: config.drainTimeoutMs, onEnded, onFailed };
  return { generations: new MemoryGenerations(queue, tokenLog, options), webhooks };
}

/** How webhooks are signed and logged, in one process or many; null without WEBHOOK_SECRET. Throws one line when that can't sign. */
export function webhookSending(
  config: Config,
  { log, metrics, tracing }: Pick<GenerationsParts, "log" | "metrics" | "tracing">,
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
