// The queue of an API node over Redis: submit starts a generation, reads its log, and cancels it when its reader leaves before the end.
import type { Generate, GenerationEvent, Prepared } from "../../generation.js";
import type { Depth } from "../admission.js";
import { eventsOf } from "../log/token-log.js";
import { OpenSubmissions, type GenerationQueue } from "../queue.js";
import type { BullGenerations } from "./bull-generations.js";

export class BullQueue implements GenerationQueue {
  readonly #generations: BullGenerations;
  readonly #open = new OpenSubmissions();

  constructor(generations: BullGenerations) {
    this.#generations = generations;
  }

  readonly submit: Generate = (prepared, signal) => this.#submit(prepared, signal);

  depth(): Promise<Depth> {
    return Promise.resolve(this.#generations.depth);
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  async *#submit(prepared: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    const leave = this.#open.enter();
    let cancelIfOpen = (): Promise<unknown> => Promise.resolve();
    try {
      signal.throwIfAborted();
      const { id, priority } = prepared;
      const record = { id, owner: "", createdAt: Date.now(), priority, prepared, request: null, webhookUrl: null };
      const started = await this.#generations.startForReader(record);
      cancelIfOpen = async () => {
        started.leave();
        if (!started.hasEnded) await this.#generations.cancel(id).catch(() => false);
      };
      yield* eventsOf(started.entries(signal));
    } finally {
      // Its reader need not wait for Redis.
      void cancelIfOpen().finally(leave);
    }
  }
}
