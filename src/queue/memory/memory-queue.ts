// The queue of one process: admission, then straight on to inference; waiting itself happens in the engine's scheduler.
import { shuttingDown } from "../../errors.js";
import type { Generate, GenerationEvent, Prepared } from "../../generation.js";
import type { Depth, ModelAdmission } from "../admission.js";
import type { GenerationQueue } from "../queue.js";

export class MemoryQueue implements GenerationQueue {
  readonly #generate: Generate;
  readonly #admission: ModelAdmission;
  readonly #open = new Set<Promise<void>>();
  #isClosed = false;

  constructor(generate: Generate, admission: ModelAdmission) {
    this.#generate = generate;
    this.#admission = admission;
  }

  readonly submit: Generate = (prepared, signal) => this.#submit(prepared, signal);

  depth(): Promise<Depth> {
    return Promise.resolve(this.#admission.depth);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#open);
  }

  async *#submit(prepared: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    if (this.#isClosed) throw shuttingDown();
    signal.throwIfAborted();
    const place = this.#admission.enter(prepared.model, prepared.sourceIds.length);
    const { promise, resolve } = deferred();
    this.#open.add(promise);
    try {
      yield { type: "accepted" };
      for await (const event of this.#generate(prepared, signal)) {
        place.start();
        yield event;
      }
    } finally {
      place.leave();
      this.#open.delete(promise);
      resolve();
    }
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
