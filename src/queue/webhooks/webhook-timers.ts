// Webhooks of one process: each call is tried until it is delivered, refused for good or given up. Across processes BullMQ does this.
//
//   send ──▶ deliver ──▶ delivered        retryable: wait longer each time, or as long as the receiver asks ──▶ deliver …
//               └──▶ given up: not retryable, the last attempt, or close
import type { WebhookResult } from "../../telemetry/metrics.js";
import type { TraceHeaders } from "../../generation.js";
import { deliver, WebhookError, type Deliver } from "./webhooks.js";

export interface Webhook {
  /** The generation's id. */
  readonly messageId: string;
  readonly url: string;
  /** JSON text. */
  readonly body: string;
  readonly trace?: TraceHeaders | undefined;
}

export interface WebhookOptions {
  readonly secret: string;
  readonly allowPrivate: boolean;
  /** Called after each attempt, with the error of a failed one. */
  onAttempt(result: WebhookResult, messageId: string, error: WebhookError | null): void;
  /** Before the second attempt, in milliseconds; doubled for each further one. */
  readonly firstDelayMs?: number;
  /** Another than the plain call. */
  readonly deliver?: Deliver;
}

/** Attempts of one webhook, the first included. */
export const webhookAttempts = 8;
const usualFirstDelayMs = 5000;
const longestDelayMs = 3_600_000;

/**
 * How long to wait after attempt number `attempt` (from 1): doubled each time, cut by up to half at random so that many don't come back at once,
 * never less than what the receiver asked for, an hour at most.
 */
export function retryDelayMs(
  attempt: number,
  firstDelayMs: number,
  random: number,
  retryAfterMs: number | null,
): number {
  const delayMs = firstDelayMs * 2 ** (attempt - 1) * (0.5 + random / 2);
  return Math.min(Math.max(delayMs, retryAfterMs ?? 0), longestDelayMs);
}

export class WebhookTimers {
  readonly #options: WebhookOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #waiting = new Map<NodeJS.Timeout, () => void>();
  #isClosed = false;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** Begins at once and never throws. */
  send(webhook: Webhook): void {
    const run = this.#run(webhook).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Attempts under way may end; those that wait for another one are given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [timer, wake] of this.#waiting) {
      clearTimeout(timer);
      wake();
    }
    await Promise.all(this.#running);
  }

  async #run(webhook: Webhook): Promise<void> {
    const { messageId } = webhook;
    const { onAttempt, firstDelayMs = usualFirstDelayMs } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const error = await this.#attempt(webhook);
      if (error === null) return onAttempt("delivered", messageId, null);
      const isLast = !error.isRetryable || attempt === webhookAttempts || this.#isClosed;
      onAttempt(isLast ? "given_up" : "retried", messageId, error);
      if (isLast) return undefined;
      await this.#wait(retryDelayMs(attempt, firstDelayMs, Math.random(), error.retryAfterMs));
      if (this.#isClosed) return onAttempt("given_up", messageId, error);
    }
  }

  async #attempt({ messageId, url, body, trace }: Webhook): Promise<WebhookError | null> {
    const { secret, allowPrivate, deliver: call = deliver } = this.#options;
    try {
      await call(url, body, secret, { messageId, allowPrivate, trace });
      return null;
    } catch (error) {
      return error instanceof WebhookError
        ? error
        : new WebhookError("could not be sent", { isRetryable: false, cause: error });
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(timer);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      timer.unref();
      this.#waiting.set(timer, wake);
    });
  }
}
