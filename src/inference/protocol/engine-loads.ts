// How much each engine of this process has to do, in memory that all their threads see: the main thread writes it, and an engine with much to do
// looks there for engines that have little.
//
//   [spare cores | sequences in flight of engine 1 | of engine 2 | …]

/** Up to so many sequences (or rows) an engine is lightly loaded: a client or two. */
export const lightLoad = 4;
const maxEngines = 256;

/** For the engine's thread. */
export interface SharedLoads {
  readonly buffer: SharedArrayBuffer;
  /** Its own place. */
  readonly place: number;
}

/** One engine's place, written by the main thread. */
export interface LoadPlace {
  readonly shared: SharedLoads;
  set(inFlight: number): void;
  /** The engine is gone. */
  leave(): void;
}

export class EngineLoads {
  readonly #cells = new Int32Array(new SharedArrayBuffer((1 + maxEngines) * Int32Array.BYTES_PER_ELEMENT));
  readonly #taken = new Set<number>();

  /** @param cpus CPUs this process may use; the main thread takes one */
  constructor(cpus: number) {
    this.#cells[0] = cpus - 1;
  }

  /** A place for an engine of so many threads; null when there are more engines than places: that one neither gives nor gets way. */
  enrol(threads: number): LoadPlace | null {
    const place = Array.from({ length: maxEngines }, (_, i) => i + 1).find((i) => !this.#taken.has(i));
    if (place === undefined) return null;
    this.#taken.add(place);
    Atomics.sub(this.#cells, 0, threads);
    return {
      shared: { buffer: this.#cells.buffer as SharedArrayBuffer, place },
      set: (inFlight) => void Atomics.store(this.#cells, place, inFlight),
      leave: () => this.#leave(place, threads),
    };
  }

  #leave(place: number, threads: number): void {
    if (!this.#taken.delete(place)) return;
    Atomics.store(this.#cells, place, 0);
    Atomics.add(this.#cells, 0, threads);
  }
}

/** Whether this engine has much to do, another one little, and the cores are too few for both and the main thread. */
export function mayGiveWay({ buffer, place }: SharedLoads): boolean {
  const cells = new Int32Array(buffer);
  const spareCores = Atomics.load(cells, 0);
  if (spareCores >= 0 || Atomics.load(cells, place) <= lightLoad) return false;
  return cells.subarray(1).some((inFlight) => inFlight > 0 && inFlight <= lightLoad);
}
