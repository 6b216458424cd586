// Host-owned caches of a transformer's rows: K/V of the target so far (self) and of the source (cross), one block of memory per tensor.
// Rows fill slots 0..count-1 without gaps, so a run is fed views, never copies.
//
//   slot   0 [H × width × D]        remove(1): the last row moves into the gap       count 3 → 2
//          1 [H × width × D] ◀──┐
//          2 [H × width × D] ───┘   widths grow in steps of 16 (one re-layout) and shrink when the long rows are gone
import { paddedWidth } from "../../../protocol/widths.js";

export interface CacheTensor {
  readonly name: string;
  readonly heads: number;
  readonly headDim: number;
}

/** One kind of cache: all its tensors have the same time axis. */
export class CacheSide {
  readonly tensors: readonly CacheTensor[];
  readonly #data: Float32Array[];
  #capacity = 0;
  #width = 0;

  constructor(tensors: readonly CacheTensor[]) {
    this.tensors = tensors;
    this.#data = tensors.map(() => new Float32Array(0));
  }

  /** Time axis of every tensor now. */
  get width(): number {
    return this.#width;
  }

  get bytes(): number {
    return this.#data.reduce((sum, data) => sum + data.byteLength, 0);
  }

  /**
   * Room for `slots` rows of `length` steps; keeps the first `kept` rows. The width shrinks only when half of it would do,
   * so that rows coming and going don't move the caches each time.
   */
  reserve(slots: number, length: number, kept: number): void {
    const needed = paddedWidth(length);
    const width = needed > this.#width || needed * 2 <= this.#width ? needed : this.#width;
    if (slots <= this.#capacity && width === this.#width) return;
    const capacity = slots <= this.#capacity ? this.#capacity : Math.max(slots, this.#capacity * 2);
    this.tensors.forEach((_, k) => this.#layOut(k, capacity, width, kept));
    this.#capacity = capacity;
    this.#width = width;
  }

  #layOut(k: number, capacity: number, width: number, kept: number): void {
    const { heads, headDim } = this.tensors[k] as CacheTensor;
    const old = this.#data[k] as Float32Array;
    const fresh = new Float32Array(capacity * heads * width * headDim);
    const run = Math.min(width, this.#width) * headDim;
    for (let block = 0; block < kept * heads; block += 1) {
      const from = block * this.#width * headDim;
      fresh.set(old.subarray(from, from + run), block * width * headDim);
    }
    this.#data[k] = fresh;
  }

  /** Tensor k of the first `count` rows: [count, H, width, D], a view. */
  view(k: number, count: number): Float32Array {
    const { heads, headDim } = this.tensors[k] as CacheTensor;
    return (this.#data[k] as Float32Array).subarray(0, count * heads * this.#width * headDim);
  }

  /** Row `to` becomes a copy of row `from`. */
  copyRow(from: number, to: number): void {
    this.tensors.forEach(({ heads, headDim }, k) => {
      const size = heads * this.#width * headDim;
      (this.#data[k] as Float32Array).copyWithin(to * size, from * size, (from + 1) * size);
    });
  }

  /** What a mask weighs with 0 must be a number: 0 × NaN is NaN. */
  clearRow(slot: number): void {
    this.tensors.forEach(({ heads, headDim }, k) => {
      const size = heads * this.#width * headDim;
      (this.#data[k] as Float32Array).fill(0, slot * size, (slot + 1) * size);
    });
  }

  swapRows(one: number, other: number): void {
    this.tensors.forEach(({ heads, headDim }, k) => {
      const size = heads * this.#width * headDim;
      const data = this.#data[k] as Float32Array;
      const kept = data.slice(one * size, (one + 1) * size);
      data.copyWithin(one * size, other * size, (other + 1) * size);
      data.set(kept, other * size);
    });
  }

  /** Takes row `index` of a batched [B, H, width, D], as far as this cache is wide. */
  writeRow(slot: number, k: number, source: Float32Array, { index, width }: { index: number; width: number }): void {
    const { heads, headDim } = this.tensors[k] as CacheTensor;
    const data = this.#data[k] as Float32Array;
    const run = Math.min(width, this.#width) * headDim;
    for (let head = 0; head < heads; head += 1) {
      const from = (index * heads + head) * width * headDim;
      data.set(source.subarray(from, from + run), (slot * heads + head) * this.#width * headDim);
    }
  }

  /** Writes one step: [count, H, 1, D] of a run goes to time ages[slot] of each slot. */
  append(k: number, fresh: Float32Array, ages: readonly number[]): void {
    const { heads, headDim } = this.tensors[k] as CacheTensor;
    const data = this.#data[k] as Float32Array;
    ages.forEach((age, slot) => {
      for (let head = 0; head < heads; head += 1) {
        const block = slot * heads + head;
        const from = block * headDim;
        data.set(fresh.subarray(from, from + headDim), (block * this.#width + age) * headDim);
      }
    });
  }
}
