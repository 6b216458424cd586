// Who is being served: one AbortSignal per request (client gone, shutdown), the state that /health/ready tells, and the drain at shutdown.
//
//   loading ──▶ ready ──drain──▶ draining: no new work; what runs may finish until the deadline, then it is aborted;
//                                those who only follow a generation are sent away at once
import { setMaxListeners } from "node:events";
import type { ServerResponse } from "node:http";
import { AppError, shuttingDown } from "../../errors.js";

export type LifetimeState = "loading" | "ready" | "draining";

export interface OpenRequest {
  /** Aborts with an AppError "cancelled" when the client leaves, "unavailable" at the end of the drain. */
  readonly signal: AbortSignal;
  /** Stops the work of this request, for instance because another of its inputs failed. */
  abort(reason: unknown): void;
  /** The answer is given: leaving clients don't count any more. */
  end(): void;
}

export class Lifetime {
  readonly #onDisconnect: () => void;
  readonly #open = new Set<AbortController>();
  readonly #readers = new Set<AbortController>();
  #isLoaded = false;
  #isDraining = false;
  #onIdle = (): void => undefined;

  /** @param loaded settles when every model is loaded or failed */
  constructor(loaded: Promise<void>, onDisconnect: () => void) {
    this.#onDisconnect = onDisconnect;
    void this.#watch(loaded);
  }

  get state(): LifetimeState {
    if (this.#isDraining) return "draining";
    return this.#isLoaded ? "ready" : "loading";
  }

  get openRequests(): number {
    return this.#open.size;
  }

  /** Throws AppError "unavailable" while draining. `continues`: a leaving client doesn't stop the work. */
  begin(raw: ServerResponse, continues: boolean): OpenRequest {
    return this.#register(this.#open, raw, continues);
  }

  /** As begin, for one who only reads what goes on without it: a drain ends it at once and never waits for it. */
  follow(raw: ServerResponse): OpenRequest {
    return this.#register(this.#readers, raw, false);
  }

  /** From now on no new work. Resolves when the running requests ended, at the latest (aborted) after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const reader of this.#readers) reader.abort(shuttingDown());
    if (this.#open.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = setTimeout(() => this.#abortAll(), timeoutMs);
    await idle;
    clearTimeout(timer);
  }

  #register(open: Set<AbortController>, raw: ServerResponse, continues: boolean): OpenRequest {
    if (this.#isDraining) throw shuttingDown();
    const controller = new AbortController();
    // Every input of an array listens, at each layer.
    setMaxListeners(0, controller.signal);
    // Not request.signal: Fastify aborts it as soon as a POST body is read (fastify #6725).
    const onClose = () => {
      if (raw.writableFinished) return;
      this.#onDisconnect();
      if (!continues) controller.abort(new AppError("cancelled", "the client left"));
    };
    if (raw.closed) onClose();
    else raw.once("close", onClose);
    open.add(controller);
    return {
      signal: controller.signal,
      abort: (reason) => controller.abort(reason),
      end: () => {
        raw.removeListener("close", onClose);
        open.delete(controller);
        if (this.#open.size === 0) this.#onIdle();
      },
    };
  }

  async #watch(loaded: Promise<void>): Promise<void> {
    await Promise.allSettled([loaded]);
    this.#isLoaded = true;
  }

  #abortAll(): void {
    for (const controller of this.#open) controller.abort(shuttingDown());
  }
}
