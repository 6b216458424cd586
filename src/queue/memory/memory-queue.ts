// The queue of one process: admission, then straight on to inference; waiting itself happens in the engine's scheduler.
import type { Generate, GenerationEvent, Prepared } from "../../generation.js";
import type { Depth, ModelAdmission, Ticket } from "../admission.js";
import { OpenSubmissions, type GenerationQueue } from "../queue.js";

export class MemoryQueue implements GenerationQueue {
  readonly #generate: Generate;
  readonly #admission: ModelAdmission;
  readonly #open = new OpenSubmissions();

  constructor(generate: Generate, admission: ModelAdmission) {
    this.#generate = generate;
    this.#admission = admission;
  }

  readonly submit: Generate = (prepared, signal) => this.#submit(prepared, signal);

  depth(): Promise<Depth> {
    return Promise.resolve(this.#admission.depth);
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  async *#submit(prepared: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    const leave = this.#open.enter();
    let ticket: Ticket | null = null;
    try {
      signal.throwIfAborted();
      ticket = this.#admission.enter(prepared.model, prepared.sourceIds.length);
      yield { type: "accepted" };
      for await (const event of this.#generate(prepared, signal)) {
        ticket.start();
        yield event;
      }
    } finally {
      ticket?.leave();
      leave();
    }
  }
}
