// The queue as the routes see it. MemoryQueue runs in this process, BullQueue sends to workers; one contract suite runs on both.
import { shuttingDown } from "../errors.js";
import type { Generate } from "../generation.js";
import type { Depth } from "./admission.js";

export interface GenerationQueue {
  /**
   * Yields "accepted" as soon as the generation is admitted, then what Generate yields.
   * The first next() rejects with AppError "overloaded" (with retryAfterSeconds) when the queue is full, and "unavailable" when it is closed.
   */
  readonly submit: Generate;
  depth(): Promise<Depth>;
  /** Refuses new generations from now on and resolves when the running ones have ended. */
  close(): Promise<void>;
}

/** The other processes as the routes see them. */
export interface Cluster {
  readonly isRedisUp: boolean;
  /** Of each model of this process, how many workers announce themselves; null on a worker. */
  workers(): Promise<Readonly<Record<string, number>>> | null;
}

/** What a queue's close waits for. */
export class OpenSubmissions {
  #count = 0;
  #isClosed = false;
  #onEmpty: (() => void)[] = [];

  /** Gives the function that takes it out again, to be called once. Throws AppError "unavailable" after close. */
  enter(): () => void {
    if (this.#isClosed) throw shuttingDown();
    this.#count += 1;
    return () => {
      this.#count -= 1;
      if (this.#count === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
    };
  }

  /** Refuses new ones and resolves when none is open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#count > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }
}
