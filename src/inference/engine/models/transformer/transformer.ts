// A transformer compiled by graph/: rows of any age share every run. The host owns the caches; the step graph returns only what is new.
//
//   encode ─▶ cross K/V ─▶ slot of the row        step(slots) ─▶ new K/V ─▶ appended at each row's age; scores ─▶ the searches
import { sourceWidth, type SourceWidths } from "../../compiler/check/source-widths.js";
import { selfBiasOf } from "../../compiler/check/step-feeds.js";
import { cacheNames, type Description } from "../../compiler/description.js";
import { positionOf } from "../../compiler/rewrite/positions.js";
import type { SelfBias } from "../../compiler/rewrite/relative-bias.js";
import type { Wanted } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "../model.js";
import { integerTensor, valueOf, type Feeds, type OnnxSession, type Value } from "../onnx-session.js";
import { padSources } from "../padding.js";
import { biasFeed, bySlot, cacheFeeds, column } from "./feeds.js";
import { TransformerSlots, type TransformerMemory, type TransformerRow } from "./slots.js";
import {
  attentionAdder,
  attentionFeeds,
  attentionOutputs,
  chooseFeeds,
  chosenOutputs,
  chosenScores,
} from "./step-outputs.js";

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
  readonly #slots: TransformerSlots;
  readonly #bias: SelfBias;

  constructor({ encode, step, description, sourceWidths, padId, hasAttention }: CompiledTransformer) {
    this.#encode = encode;
    this.#step = step;
    this.#description = description;
    this.#sourceWidths = sourceWidths;
    this.#padId = padId;
    this.hasAttention = hasAttention;
    this.#fresh = cacheNames(description.layers).map((name) => `new.${name}`);
    this.vocabSize = description.vocabSize;
    this.#slots = new TransformerSlots(description);
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
    const names = this.#slots.cross.tensors.map((cached) => cached.name);
    const results = await this.#encode.run(feeds, names);
    const cross = names.map((name) => valueOf(results, name));
    return sources.map((source, index): TransformerMemory => ({ sourceLength: source.length, cross, index, width }));
  }

  open(memory: Memory): Row {
    return this.#slots.open(memory as TransformerMemory);
  }

  async step(rows: readonly Row[], wanted: readonly Wanted[]): Promise<StepScores> {
    const running = this.#slots.forRun(rows);
    const all = bySlot(rows as readonly TransformerRow[], wanted);
    const outputs = [...this.#fresh, ...chosenOutputs(all), ...attentionOutputs(all)];
    const results = await this.#step.run(this.#feeds(running, all), outputs);
    this.#append(results, running);
    const scores = chosenScores(results, all);
    const withAttention = attentionAdder(results, all);
    // As they were in this run: choosing for one sequence may move another's rows.
    const slots = (rows as readonly TransformerRow[]).map((row) => row.slot);
    return {
      row: (index) => {
        const slot = slots[index] ?? -1;
        return withAttention(scores(slot), slot, rows[index]?.memory.sourceLength ?? 0);
      },
    };
  }

  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    return this.#slots.reorder(rows, parents);
  }

  release(rows: readonly Row[]): void {
    this.#slots.release(rows);
  }

  async close(): Promise<void> {
    await this.#encode.close();
    await this.#step.close();
  }

  #append(results: Readonly<Record<string, Value>>, rows: readonly TransformerRow[]): void {
    const ages = agesOf(rows);
    this.#fresh.forEach((name, k) => this.#slots.self.append(k, valueOf(results, name).data as Float32Array, ages));
    for (const row of rows) row.age += 1;
  }

  #feeds(rows: readonly TransformerRow[], wanted: readonly Wanted[]): Feeds {
    const { self, cross } = this.#slots;
    const feeds: Record<string, Feeds[string]> = {
      input_ids: column(rows.map((row) => row.token)),
      encoder_attention_mask: this.#slots.sourceMask(rows.length),
      self_bias: biasFeed(agesOf(rows), self.width, this.#bias),
      ...chooseFeeds(wanted, this.vocabSize),
      ...(this.#description.attention === undefined ? {} : attentionFeeds(wanted)),
      ...cacheFeeds(self, rows.length),
      ...cacheFeeds(cross, rows.length),
    };
    const rule = this.#description.positions;
    if (rule !== undefined) feeds["position_ids"] = column(rows.map((row) => positionOf(rule, row.age, row.token)));
    return feeds;
  }
}

function agesOf(rows: readonly TransformerRow[]): number[] {
  return rows.map((row) => row.age);
}
