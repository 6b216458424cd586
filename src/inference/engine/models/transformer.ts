// A transformer compiled by graph/: rows of any age share every run. The host owns the caches; the step graph returns only what is new.
//
//   encode ─▶ cross K/V ─▶ slot of the row        step(slots) ─▶ new K/V ─▶ appended at each row's age; scores ─▶ the searches
import type { Wanted } from "../decoding/search.js";
import type { Description } from "../graph/compile.js";
import { positionOf } from "../graph/positions.js";
import type { SelfBias } from "../graph/relative-bias.js";
import { sourceWidth, type SourceWidths } from "../graph/source-widths.js";
import { cacheNames, selfBiasOf } from "../graph/step-feeds.js";
import { attentionAdder, attentionFeeds, attentionOutputs } from "./attention-rows.js";
import { chooseFeeds, chosenOutputs, chosenScores } from "./chosen-scores.js";
import { CacheSide, type CacheTensor } from "./kv-cache.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "./model.js";
import { integerTensor, tensor, valueOf, type Feeds, type OnnxSession, type Value } from "./onnx-session.js";
import { lengthMask, padSources } from "./padding.js";
import { product } from "./rows.js";

interface TransformerMemory extends Memory {
  /** The encode run's cross K/V, padded to `width`, and this source's place in them. */
  readonly cross: readonly Value[];
  readonly index: number;
  readonly width: number;
}

interface TransformerRow extends Row {
  readonly memory: TransformerMemory;
  slot: number;
}

export interface CompiledTransformer {
  readonly encode: OnnxSession;
  readonly step: OnnxSession;
  readonly description: Description;
  readonly sourceWidths: SourceWidths;
  readonly padId: number;
  /** The step graph hands out attention, and the self-check saw that it is. */
  readonly hasAttention: boolean;
}

export class TransformerModel implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly #encode: OnnxSession;
  readonly #step: OnnxSession;
  readonly #description: Description;
  readonly #padId: number;
  readonly #sourceWidths: SourceWidths;
  readonly #fresh: readonly string[];
  readonly #self: CacheSide;
  readonly #cross: CacheSide;
  readonly #bias: SelfBias;
  /** rows[slot].slot === slot: no gaps. */
  readonly #rows: TransformerRow[] = [];
  /** [rows × source width] of the rows as they are now; null when they have changed. */
  #mask: BigInt64Array | null = null;

  constructor({ encode, step, description, sourceWidths, padId, hasAttention }: CompiledTransformer) {
    this.#encode = encode;
    this.#step = step;
    this.#description = description;
    this.#sourceWidths = sourceWidths;
    this.#padId = padId;
    this.hasAttention = hasAttention;
    this.#fresh = cacheNames(description.layers).map((name) => `new.${name}`);
    this.vocabSize = description.vocabSize;
    this.#self = new CacheSide(cacheTensors("past", description));
    this.#cross = new CacheSide(cacheTensors("cross", description));
    this.#bias = selfBiasOf(description);
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    const width = sourceWidth(this.#sourceWidths, Math.max(...sources.map((source) => source.length)));
    const padded = padSources(sources, this.#padId, width);
    const feeds: Record<string, Feeds[string]> = {};
    for (const info of this.#encode.inputs) {
      const values = info.name === "attention_mask" ? padded.mask : padded.ids;
      feeds[info.name] = integerTensor(info, values, [padded.batch, width]);
    }
    const names = this.#cross.tensors.map((cached) => cached.name);
    const results = await this.#encode.run(feeds, names);
    const cross = names.map((name) => valueOf(results, name));
    return sources.map((source, index): TransformerMemory => ({ sourceLength: source.length, cross, index, width }));
  }

  open(memory: Memory): Row {
    const row: TransformerRow = { memory: memory as TransformerMemory, age: 0, token: 0, slot: this.#rows.length };
    this.#place(row);
    const { cross, index, width } = row.memory;
    cross.forEach((value, k) => this.#cross.writeRow(row.slot, k, value.data as Float32Array, { index, width }));
    return row;
  }

  async step(rows: readonly Row[], wanted: readonly Wanted[]): Promise<StepScores> {
    const open = this.#rows.length;
    if (rows.length > open) throw new Error(`a step of ${rows.length} rows where ${open} are open`);
    this.#bringForward(rows as readonly TransformerRow[]);
    this.#self.reserve(
      open,
      this.#longest((row) => row.age + 1),
      open,
    );
    const stepping = this.#rows.slice(0, rows.length);
    const ages = stepping.map((row) => row.age);
    const bySlot = wantedBySlot(rows as readonly TransformerRow[], wanted);
    const outputs = [...this.#fresh, ...chosenOutputs(bySlot), ...attentionOutputs(bySlot)];
    const results = await this.#step.run(this.#feeds(stepping, bySlot), outputs);
    this.#fresh.forEach((name, k) => this.#self.append(k, valueOf(results, name).data as Float32Array, ages));
    for (const row of stepping) row.age += 1;
    const scores = chosenScores(results, bySlot);
    const withAttention = attentionAdder(results, bySlot);
    // As they were in this run: choosing for one sequence may move another's rows.
    const slots = (rows as readonly TransformerRow[]).map((row) => row.slot);
    return {
      row: (index) => {
        const slot = slots[index] ?? -1;
        return withAttention(scores(slot), slot, rows[index]?.memory.sourceLength ?? 0);
      },
    };
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
      if (last === undefined || last.slot === slot) continue;
      this.#self.copyRow(last.slot, slot);
      this.#cross.copyRow(last.slot, slot);
      this.#rows[slot] = last;
      last.slot = slot;
    }
  }

  async close(): Promise<void> {
    await this.#encode.close();
    await this.#step.close();
  }

  /** A run takes the first slots: where not all rows step, those that do change places with others. */
  #bringForward(rows: readonly TransformerRow[]): void {
    if (rows.length === this.#rows.length) return;
    const stepping = new Set(rows);
    const places = this.#rows.slice(0, rows.length).filter((row) => !stepping.has(row));
    for (const row of rows) if (row.slot >= rows.length) this.#swap(row, places.pop() as TransformerRow);
  }

  #swap(row: TransformerRow, other: TransformerRow): void {
    this.#self.swapRows(row.slot, other.slot);
    this.#cross.swapRows(row.slot, other.slot);
    [row.slot, other.slot] = [other.slot, row.slot];
    this.#rows[row.slot] = row;
    this.#rows[other.slot] = other;
    this.#mask = null;
  }

  #place(row: TransformerRow): void {
    const kept = this.#rows.length;
    this.#rows.push(row);
    this.#self.reserve(
      kept + 1,
      this.#longest((other) => other.age + 1),
      kept,
    );
    this.#cross.reserve(
      kept + 1,
      this.#longest((other) => other.memory.sourceLength),
      kept,
    );
    this.#mask = null;
  }

  #fork(parent: TransformerRow, dropped: TransformerRow | undefined): TransformerRow {
    const child = { ...parent, slot: dropped?.slot ?? this.#rows.length };
    if (dropped === undefined) this.#place(child);
    else this.#rows[child.slot] = child;
    this.#self.copyRow(parent.slot, child.slot);
    this.#cross.copyRow(parent.slot, child.slot);
    this.#mask = null;
    return child;
  }

  #longest(of: (row: TransformerRow) => number): number {
    return this.#rows.reduce((longest, row) => Math.max(longest, of(row)), 1);
  }

  #feeds(rows: readonly TransformerRow[], wanted: readonly Wanted[]): Feeds {
    const count = rows.length;
    const feeds: Record<string, Feeds[string]> = {
      input_ids: column(rows.map((row) => row.token)),
      encoder_attention_mask: this.#sourceMask(count),
      self_bias: this.#selfBias(rows.map((row) => row.age)),
      ...chooseFeeds(wanted, this.vocabSize),
      ...(this.#description.attention === undefined ? {} : attentionFeeds(wanted)),
      ...cacheFeeds(this.#self, count),
      ...cacheFeeds(this.#cross, count),
    };
    const rule = this.#description.positions;
    if (rule !== undefined) feeds["position_ids"] = column(rows.map((row) => positionOf(rule, row.age, row.token)));
    return feeds;
  }

  // Rows come and go far less often than steps: the mask is kept until they do.
  #sourceMask(count: number): Feeds[string] {
    const width = this.#cross.width;
    this.#mask ??= BigInt64Array.from(
      lengthMask(
        this.#rows.map((row) => row.memory.sourceLength),
        width,
      ),
      BigInt,
    );
    return tensor("int64", this.#mask.subarray(0, count * width), [count, width]);
  }

  #selfBias(ages: readonly number[]): Feeds[string] {
    const dims = [ages.length, this.#bias.heads, 1, this.#self.width + 1];
    const data = new Float32Array(product(dims));
    this.#bias.fill(ages, this.#self.width, data);
    return tensor("float32", data, dims);
  }
}

function column(values: readonly number[]): Feeds[string] {
  return tensor("int64", BigInt64Array.from(values, BigInt), [values.length, 1]);
}

function cacheFeeds(side: CacheSide, count: number): Feeds {
  const feeds = side.tensors.map(({ name, heads, headDim }, k) => {
    return [name, tensor("float32", side.view(k, count), [count, heads, side.width, headDim])] as const;
  });
  return Object.fromEntries(feeds);
}

function cacheTensors(kind: "past" | "cross", { layers, heads, headDim }: Description): CacheTensor[] {
  return cacheNames(layers).map((name) => ({ name: `${kind}.${name}`, heads, headDim }));
}

function wantedBySlot(rows: readonly TransformerRow[], wanted: readonly Wanted[]): Wanted[] {
  const bySlot: Wanted[] = [];
  rows.forEach((row, index) => (bySlot[row.slot] = wanted[index] as Wanted));
  return bySlot;
}
