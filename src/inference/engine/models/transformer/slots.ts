// Which row of a transformer has which slot of the host's caches: rows open, fork, change places and leave; runs take the first slots. Knows no graph.
//
//   slot   0  1  2  3        release(1): the last one moves into the gap        forRun([3]): 3 and 0 change places
//          a  b  c  d   ─▶   a  d  c                                            d  b  c  a
import type { Description } from "../../compiler/description.js";
import type { Memory, Row } from "../model.js";
import { tensor, type Feeds, type Value } from "../onnx-session.js";
import { lengthMask } from "../padding.js";
import { cacheTensors } from "./feeds.js";
import { CacheSide } from "./kv-cache.js";

export interface TransformerMemory extends Memory {
  /** The encode run's cross K/V, padded to `width`, and this source's place in them. */
  readonly cross: readonly Value[];
  readonly index: number;
  readonly width: number;
}

export interface TransformerRow extends Row {
  readonly memory: TransformerMemory;
  slot: number;
}

export class TransformerSlots {
  /** K/V of the target so far. */
  readonly self: CacheSide;
  /** K/V of the source. */
  readonly cross: CacheSide;
  /** rows[slot].slot === slot: no gaps. */
  readonly #rows: TransformerRow[] = [];
  /** [rows × source width] of the rows as they are now; null when they have changed. */
  #mask: BigInt64Array | null = null;

  constructor(description: Description) {
    this.self = new CacheSide(cacheTensors("past", description));
    this.cross = new CacheSide(cacheTensors("cross", description));
  }

  open(memory: TransformerMemory): TransformerRow {
    const row: TransformerRow = { memory, age: 0, token: 0, slot: this.#rows.length };
    this.#place(row);
    const { cross, index, width } = memory;
    cross.forEach((value, k) => this.cross.writeRow(row.slot, k, value.data as Float32Array, { index, width }));
    return row;
  }

  /** Brings some or all of the open rows into the first slots, with room for one step more; returns them in the order of slots. */
  forRun(rows: readonly Row[]): readonly TransformerRow[] {
    const open = this.#rows.length;
    if (rows.length > open) throw new Error(`a step of ${rows.length} rows where ${open} are open`);
    if (rows.length < open) this.#bringForward(rows as readonly TransformerRow[]);
    const longest = this.#longest((row) => row.age + 1);
    this.self.reserve(open, longest, open);
    return this.#rows.slice(0, rows.length);
  }

  /** A parent's first child keeps its row and slot; further children copy into slots of dropped rows, then into new ones. */
  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    const own = rows as readonly TransformerRow[];
    const continued = new Set(parents);
    const free = own.filter((_, index) => !continued.has(index));
    const taken = new Set<number>();
    const next = parents.map((parent) => {
      const row = own[parent] as TransformerRow;
      if (!taken.has(parent)) {
        taken.add(parent);
        return row;
      }
      return this.#fork(row, free.pop());
    });
    this.release(free);
    return next;
  }

  release(rows: readonly Row[]): void {
    this.#mask = null;
    for (const { slot } of rows as readonly TransformerRow[]) {
      const last = this.#rows.pop();
      if (last === undefined) continue;
      const vacated = last.slot;
      if (vacated !== slot) {
        this.self.copyRow(vacated, slot);
        this.cross.copyRow(vacated, slot);
        this.#rows[slot] = last;
        last.slot = slot;
      }
      // Whoever has it next must not meet what is left in it beyond its own length.
      this.self.clearRow(vacated);
      this.cross.clearRow(vacated);
    }
  }

  /** Of the first `count` slots. Rows come and go far less often than steps: it is kept until they do. */
  sourceMask(count: number): Feeds[string] {
    const { width } = this.cross;
    const lengths = () => this.#rows.map((row) => row.memory.sourceLength);
    this.#mask ??= BigInt64Array.from(lengthMask(lengths(), width), BigInt);
    return tensor("int64", this.#mask.subarray(0, count * width), [count, width]);
  }

  #bringForward(rows: readonly TransformerRow[]): void {
    const running = new Set(rows);
    const idle = this.#rows.slice(0, rows.length).filter((row) => !running.has(row));
    for (const row of rows) if (row.slot >= rows.length) this.#swap(row, idle.pop() as TransformerRow);
  }

  #swap(row: TransformerRow, other: TransformerRow): void {
    this.self.swapRows(row.slot, other.slot);
    this.cross.swapRows(row.slot, other.slot);
    [row.slot, other.slot] = [other.slot, row.slot];
    this.#rows[row.slot] = row;
    this.#rows[other.slot] = other;
    this.#mask = null;
  }

  #place(row: TransformerRow): void {
    const kept = this.#rows.length;
    this.#rows.push(row);
    const longest = this.#longest((other) => other.age + 1);
    const widest = this.#longest((other) => other.memory.sourceLength);
    this.self.reserve(kept + 1, longest, kept);
    this.cross.reserve(kept + 1, widest, kept);
    this.#mask = null;
  }

  #fork(parent: TransformerRow, dropped: TransformerRow | undefined): TransformerRow {
    const child = { ...parent, slot: dropped?.slot ?? this.#rows.length };
    if (dropped === undefined) this.#place(child);
    else this.#rows[child.slot] = child;
    this.self.copyRow(parent.slot, child.slot);
    this.cross.copyRow(parent.slot, child.slot);
    this.#mask = null;
    return child;
  }

  #longest(of: (row: TransformerRow) => number): number {
    return this.#rows.reduce((longest, row) => Math.max(longest, of(row)), 1);
  }
}
