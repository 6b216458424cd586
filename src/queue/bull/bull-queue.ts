// The queue of an API node over Redis: submit starts a generation, follows its log, and cancels it when its reader leaves.
import { shuttingDown } from "../../errors.js";
import type { Generate, GenerationEvent, Prepared } from "../../generation.js";
import type { Depth } from "../admission.js";
import type { BullGenerations } from "./bull-generations.js";
import type { GenerationQueue } from "../queue.js";
import { failureError, type LogEvent } from "../log/token-log.js";

export class BullQueue implements GenerationQueue {
  readonly #generations: BullGenerations;
  readonly #open = new Set<Promise<void>>();
  #isClosed = false;

  constructor(generations: BullGenerations) {
    this.#generations = generations;
  }

  readonly submit: Generate = (prepared, signal) => this.#submit(prepared, signal);

  depth(): Promise<Depth> {
    return Promise.resolve(this.#generations.depth);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  async *#submit(prepared: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    if (this.#isClosed) throw shuttingDown();
    signal.throwIfAborted();
    const { id } = prepared;
    const begun = await this.#generations.begin({
      id,
      owner: "",
      createdAt: Date.now(),
      priority: prepared.priority,
      prepared,
      request: null,
      webhookUrl: null,
    });
    let hasEnded = false;
    let close = (): void => undefined;
    const closed = new Promise<void>((resolve) => (close = resolve));
    this.#open.add(closed);
    try {
      yield { type: "accepted" };
      for await (const { event } of begun.entries(signal)) {
        begun.start();
        hasEnded = event.type !== "token";
        yield thrownIfFailed(event);
      }
    } finally {
      begun.leave();
      // Its reader need not wait for Redis.
      void this.#leave(id, hasEnded).finally(() => {
        this.#open.delete(closed);
        close();
      });
    }
  }

  async #leave(id: string, hasEnded: boolean): Promise<void> {
    if (!hasEnded) await this.#generations.cancel(id).catch(() => false);
  }
}

function thrownIfFailed(event: LogEvent): GenerationEvent {
  if (event.type === "failure") throw failureError(event);
  return event;
}
