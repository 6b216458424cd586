// A transformer compiled by graph/: rows of any age share every run. The host owns the caches; the step graph returns only what is new.
//
//   encode ─▶ cross K/V ─▶ slot of the row        step(slots) ─▶ new K/V ─▶ appended at each row's age; scores ─▶ the searches
import type { Wanted } from "../decoding/search.js";
import type { Description } from "../graph/compile.js";
import { chosenIds, eachOf } from "../graph/loop.js";
import { positionOf } from "../graph/positions.js";
import type { SelfBias } from "../graph/relative-bias.js";
import { sourceWidth, type SourceWidths } from "../graph/source-widths.js";
import { cacheNames, selfBiasOf } from "../graph/step-feeds.js";
import { chooseFeeds, chosenOutputs, chosenScores } from "./chosen-scores.js";
import { ageFeeds, chosenOf, firstFeeds, loopFeeds } from "./greedy-feeds.js";
import { CacheSide } from "./kv-cache.js";
import type { GreedySteps, Memory, Row, Seq2SeqModel, StepScores } from "./model.js";
import { integerTensor, tensor, valueOf, type Feeds, type OnnxSession, type Value } from "./onnx-session.js";
import { lengthMask, padSources } from "./padding.js";
import { biasFeed, bySlot, cacheFeeds, cacheTensors, column, takeBack } from "./transformer-feeds.js";

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
  /** Of several greedy steps a run, and how many; null: one. */
  readonly greedy: { readonly session: OnnxSession; readonly steps: number } | null;
  readonly description: Description;
  readonly sourceWidths: SourceWidths;
  readonly padId: number;
}

export class TransformerModel implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention = false;
  readonly #greedy: CompiledTransformer["greedy"];
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

  constructor({ encode, step, greedy, description, sourceWidths, padId }: CompiledTransformer) {
    this.#greedy = greedy;
    this.#encode = encode;
    this.#step = step;
    this.#description = description;
    this.#sourceWidths = sourceWidths;
    this.#padId = padId;
    this.#fresh = cacheNames(description.layers).map((name) => `new.${name}`);
    this.vocabSize = description.vocabSize;
    this.#self = new CacheSide(cacheTensors("past", description));
    this.#cross = new CacheSide(cacheTensors("cross", description));
    this.#bias = selfBiasOf(description);
  }

  get greedy(): GreedySteps | null {
    return this.#greedy && { most: this.#greedy.steps, run: (...given) => this.#runGreedy(...given), takeBack };
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
    const ages = this.#agesBefore(rows, 1);
    const all = bySlot(rows as readonly TransformerRow[], wanted);
    const results = await this.#step.run(this.#feeds(ages, all), [...this.#fresh, ...chosenOutputs(all)]);
    this.#append(results, ages, 1);
    const scores = chosenScores(results, all);
    // As they were in this run: choosing for one sequence may move another's rows.
    const slots = (rows as readonly TransformerRow[]).map((row) => row.slot);
    return { row: (index) => scores(slots[index] ?? -1) };
  }

  async #runGreedy(rows: readonly Row[], ends: readonly (readonly number[])[], steps: number): Promise<number[][]> {
    const ages = this.#agesBefore(rows, steps);
    const own = rows as readonly TransformerRow[];
    const [bias, rule, { heads }] = [this.#bias, this.#description.positions, this.#description];
    const { width } = this.#self;
    const feeds = {
      ...loopFeeds(bySlot(own, ends), steps),
      ...firstFeeds({ input_ids: column(this.#rows.map((row) => row.token)), ...cacheFeeds(this.#self, ages.length) }),
      ...ageFeeds(ages, { steps, width, heads, bias, rule }),
      ...cacheFeeds(this.#cross, ages.length),
      encoder_attention_mask: this.#sourceMask(),
    };
    const names = [chosenIds, ...this.#fresh.map(eachOf)];
    const results = (await this.#greedy?.session.run(feeds, names)) ?? {};
    const { made, of } = chosenOf(results);
    this.#append(results, ages, made);
    return own.map((row) => of(row.slot));
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
    await this.#greedy?.session.close();
  }

  /** Ages of all rows, in slots; the caches have room for so many more steps. */
  #agesBefore(rows: readonly Row[], steps: number): number[] {
    const count = this.#rows.length;
    if (rows.length !== count) throw new Error(`a step of ${rows.length} rows where ${count} are open`);
    const longest = this.#longest((row) => row.age + steps);
    this.#self.reserve(count, longest, count);
    return this.#rows.map((row) => row.age);
  }

  /** What so many steps added, whose outputs are stacked along a first axis where a loop made them. */
  #append(results: Readonly<Record<string, Value>>, ages: readonly number[], steps: number): void {
    this.#fresh.forEach((name, k) => {
      const { data } = valueOf(results, name in results ? name : eachOf(name));
      const size = data.length / steps;
      for (let step = 0; step < steps; step += 1) {
        const fresh = data.subarray(step * size, (step + 1) * size) as Float32Array;
        const later = ages.map((age) => age + step);
        this.#self.append(k, fresh, later);
      }
    });
    for (const row of this.#rows) row.age += steps;
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

  #feeds(ages: readonly number[], wanted: readonly Wanted[]): Feeds {
    const count = this.#rows.length;
    const feeds: Record<string, Feeds[string]> = {
      input_ids: column(this.#rows.map((row) => row.token)),
      encoder_attention_mask: this.#sourceMask(),
      self_bias: biasFeed(ages, this.#self.width, this.#bias),
      ...chooseFeeds(wanted, this.vocabSize),
      ...cacheFeeds(this.#self, count),
      ...cacheFeeds(this.#cross, count),
    };
    const rule = this.#description.positions;
    if (rule !== undefined)
      feeds["position_ids"] = column(this.#rows.map((row) => positionOf(rule, row.age, row.token)));
    return feeds;
  }

  // Rows come and go far less often than steps: the mask is kept until they do.
  #sourceMask(): Feeds[string] {
    const width = this.#cross.width;
    this.#mask ??= BigInt64Array.from(
      lengthMask(
        this.#rows.map((row) => row.memory.sourceLength),
        width,
      ),
      BigInt,
    );
    return tensor("int64", this.#mask, [this.#rows.length, width]);
  }
}
