// How much each engine of this process has to do, in memory that all their threads see. The main thread writes it; a busy engine reads it
// to learn whether a lightly loaded one needs the cores.
//
//   [spare cores | sequences in flight of engine 1 | of engine 2 | …]

/** An engine with at most this many sequences (or rows) is lightly loaded: a client or two. */
export const lightLoad = 4;
const maxEngines = 256;

/** For the engine's thread. */
export interface SharedLoads {
  readonly buffer: SharedArrayBuffer;
  /** Its own slot. */
  readonly slot: number;
}

/** One engine's slot, written by the main thread. */
export interface LoadSlot {
  readonly shared: SharedLoads;
  set(inFlight: number): void;
  /** The engine is gone. */
  release(): void;
}

export class EngineLoads {
  readonly #cells = new Int32Array(new SharedArrayBuffer((1 + maxEngines) * Int32Array.BYTES_PER_ELEMENT));
  readonly #claimed = new Set<number>();

  /** @param cpus CPUs this process may use; the main thread takes one */
  constructor(cpus: number) {
    this.#cells[0] = cpus - 1;
  }

  /** A slot for an engine with that number of threads. null when all are taken: an engine without a slot does not take part in yielding. */
  claimSlot(threads: number): LoadSlot | null {
    const slot = Array.from({ length: maxEngines }, (_, i) => i + 1).find((i) => !this.#claimed.has(i));
    if (slot === undefined) return null;
    this.#claimed.add(slot);
    Atomics.sub(this.#cells, 0, threads);
    return {
      shared: { buffer: this.#cells.buffer as SharedArrayBuffer, slot },
      set: (inFlight) => void Atomics.store(this.#cells, slot, inFlight),
      release: () => this.#release(slot, threads),
    };
  }

  #release(slot: number, threads: number): void {
    if (!this.#claimed.delete(slot)) return;
    Atomics.store(this.#cells, slot, 0);
    Atomics.add(this.#cells, 0, threads);
  }
}

/** Whether this engine has much to do, another one little, and the cores are too few for both and the main thread. */
export function shouldYield({ buffer, slot }: SharedLoads): boolean {
  const cells = new Int32Array(buffer);
  const spareCores = Atomics.load(cells, 0);
  if (spareCores >= 0 || Atomics.load(cells, slot) <= lightLoad) return false;
  return cells.subarray(1).some((inFlight) => inFlight > 0 && inFlight <= lightLoad);
}
