// Stock transformer exports as they are, where the compiler knows no way: their graphs take one past length per run, so rows of equal age
// run together (cohorts); where activations are quantised per tensor, each row runs alone.
//
//   encoder ─▶ hidden ─▶ first step (decoder_model): logits, self and cross K/V ─▶ later steps (decoder_with_past): logits, self K/V
import { quantisesPerTensor } from "../../../onnx/read-model.js";
import type { RowMemory } from "../../../protocol/facts.js";
import type { TransformerPlan } from "../../../protocol/plan.js";
import { paddedWidth } from "../../../protocol/widths.js";
import type { RowScores, Wanted } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "../model.js";
import {
  integerTensor,
  OnnxSession,
  tensor,
  type Feeds,
  type SessionOptions,
  type TensorData,
  type TensorInfo,
  type Value,
} from "../onnx-session.js";
import { lengthMask, padSources } from "../padding.js";
import { gatherPadded, gatherRows, type Slice } from "../rows.js";
import { fullScores, lastLogits } from "../scores.js";

interface StockMemory extends Memory {
  /** [B, S, d] of the encoder run. */
  readonly hidden: Slice;
  /** Cross K/V by tensor name, from this source's first decoder step on. */
  cross: ReadonlyMap<string, Slice> | null;
}

interface StockRow extends Row {
  readonly memory: StockMemory;
  /** Self-attention K/V by tensor name: [B, H, P, D]. */
  past: ReadonlyMap<string, Slice>;
}

interface StockSessions {
  readonly encoder: OnnxSession;
  readonly first: OnnxSession;
  readonly later: OnnxSession;
}

const pastPrefix = "past_key_values.";
const presentPrefix = "present.";

export class StockTransformer implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention = false;
  /** Rows would change each other's numbers: each runs by itself. */
  readonly isAlone: boolean;
  readonly rowMemory: RowMemory;
  readonly #sessions: StockSessions;
  readonly #padId: number;

  private constructor(sessions: StockSessions, { padId, encoderFile }: TransformerPlan) {
    this.#sessions = sessions;
    this.#padId = padId;
    this.isAlone = quantisesPerTensor(encoderFile);
    this.vocabSize = Number(sessions.later.output("logits")?.dims.at(-1));
    this.rowMemory = cachedBytes(sessions.later.inputs);
  }

  static async load(plan: TransformerPlan, options: SessionOptions): Promise<StockTransformer> {
    const encoder = await OnnxSession.open(plan.encoderFile, options);
    if (plan.mergedFile !== null) {
      const merged = await OnnxSession.open(plan.mergedFile, options);
      return new StockTransformer({ encoder, first: merged, later: merged }, plan);
    }
    if (plan.decoderFile === null || plan.decoderWithPastFile === null) throw new Error("a plan without decoder files");
    const first = await OnnxSession.open(plan.decoderFile, options);
    const later = await OnnxSession.open(plan.decoderWithPastFile, options);
    return new StockTransformer({ encoder, first, later }, plan);
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    if (!this.isAlone) return this.#encodeTogether(sources);
    const memories: Memory[] = [];
    for (const source of sources) memories.push(...(await this.#encodeTogether([source])));
    return memories;
  }

  async #encodeTogether(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    const longest = Math.max(...sources.map((source) => source.length));
    const padded = padSources(sources, this.#padId, paddedWidth(longest));
    const { encoder } = this.#sessions;
    const shape = [padded.batch, padded.width];
    const feeds: Record<string, Feeds[string]> = {};
    for (const info of encoder.inputs) {
      feeds[info.name] = integerTensor(info, info.name === "attention_mask" ? padded.mask : padded.ids, shape);
    }
    const { last_hidden_state: value } = await encoder.run(feeds, ["last_hidden_state"]);
    if (value === undefined) throw new Error(`${encoder.file}: the run returned no last_hidden_state`);
    return sources.map((source, index): StockMemory => {
      return { sourceLength: source.length, hidden: { value, index }, cross: null };
    });
  }

  open(memory: Memory): Row {
    const row: StockRow = { memory: memory as StockMemory, age: 0, token: 0, past: new Map() };
    return row;
  }

  async step(rows: readonly Row[], _wanted: readonly Wanted[]): Promise<StepScores> {
    const scores: RowScores[] = [];
    for (const cohort of groupRows(rows as readonly StockRow[], this.isAlone)) {
      const logits = await this.#stepCohort(cohort.map(({ row }) => row));
      cohort.forEach(({ index }, i) => (scores[index] = fullScores(logits[i] as Float32Array)));
    }
    return { row: (index) => scores[index] as RowScores };
  }

  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    return parents.map((parent) => ({ ...(rows[parent] as StockRow) }));
  }

  release(): void {
    // Rows are pointers: the collector frees a batch when its last row is gone.
  }

  async close(): Promise<void> {
    for (const session of new Set(Object.values(this.#sessions) as OnnxSession[])) await session.close();
  }

  async #stepCohort(rows: readonly StockRow[]): Promise<Float32Array[]> {
    const isFirst = rows[0]?.age === 0;
    const session = isFirst ? this.#sessions.first : this.#sessions.later;
    const width = paddedWidth(Math.max(...rows.map((row) => row.memory.sourceLength)));
    const feeds: Record<string, Feeds[string]> = {};
    for (const info of session.inputs) feeds[info.name] = this.#feed(info, rows, width, isFirst);
    const presents = session.outputs.map((info) => info.name).filter((name) => this.#isFetched(name, isFirst));
    const results = await session.run(feeds, ["logits", ...presents]);
    rows.forEach((row, index) => keepPresents(row, index, results, presents));
    return lastLogits(results["logits"] as Value, rows.length);
  }

  #isFetched(name: string, isFirst: boolean): boolean {
    if (!name.startsWith(presentPrefix)) return false;
    return isFirst || !name.includes(".encoder.");
  }

  #feed(info: TensorInfo, rows: readonly StockRow[], width: number, isFirst: boolean): Feeds[string] {
    const batch = rows.length;
    switch (info.name) {
      case "input_ids":
      case "decoder_input_ids":
        return integerTensor(
          info,
          rows.map((row) => row.token),
          [batch, 1],
        );
      case "encoder_attention_mask":
        return integerTensor(
          info,
          lengthMask(
            rows.map((row) => row.memory.sourceLength),
            width,
          ),
          [batch, width],
        );
      case "encoder_hidden_states": {
        const { data, dims } = gatherPadded(
          rows.map((row) => row.memory.hidden),
          0,
          1,
          width,
        );
        return tensor(info.type, data, dims);
      }
      case "use_cache_branch":
        return integerTensor(info, [isFirst ? 0 : 1], [1]);
      default:
        return pastFeed(info, rows, width, isFirst);
    }
  }
}

/** Rows of one age, or each row alone, with their places in the step. */
function groupRows(rows: readonly StockRow[], isAlone: boolean): { row: StockRow; index: number }[][] {
  const cohorts = new Map<number, { row: StockRow; index: number }[]>();
  rows.forEach((row, index) => {
    const key = isAlone ? index : row.age;
    const cohort = cohorts.get(key) ?? [];
    cohort.push({ row, index });
    cohorts.set(key, cohort);
  });
  return [...cohorts.values()];
}

function pastFeed(info: TensorInfo, rows: readonly StockRow[], width: number, isFirst: boolean): Feeds[string] {
  if (!info.name.startsWith(pastPrefix)) throw new Error(`a decoder input of unknown meaning: "${info.name}"`);
  if (isFirst) return tensor(info.type, emptyData(info), emptyPast(info, rows.length));
  const name = info.name.replace(pastPrefix, presentPrefix);
  const value = name.includes(".encoder.")
    ? gatherPadded(
        rows.map((row) => row.memory.cross?.get(name) as Slice),
        0,
        2,
        width,
      )
    : gatherRows(
        rows.map((row) => row.past.get(name) as Slice),
        0,
      );
  return tensor(info.type, value.data, value.dims);
}

/** Of the caches [B, H, P, D] that a later step takes. */
function cachedBytes(inputs: readonly TensorInfo[]): RowMemory {
  const bytesOf = (side: string) =>
    inputs
      .filter(({ name }) => name.startsWith(pastPrefix) && name.includes(side))
      .reduce((sum, { type, dims }) => sum + Number(dims[1]) * Number(dims[3]) * (type === "float16" ? 2 : 4), 0);
  return { perTargetToken: bytesOf(".decoder."), perSourceToken: bytesOf(".encoder.") };
}

function emptyData({ type }: TensorInfo): TensorData {
  return type === "float16" ? new Uint16Array(0) : new Float32Array(0);
}

/** [B, H, 0, D]: a merged decoder wants its past named even where there is none. */
function emptyPast(info: TensorInfo, batch: number): number[] {
  return [batch, Number(info.dims[1]), 0, Number(info.dims[3])];
}

function keepPresents(row: StockRow, index: number, results: Record<string, Value>, presents: readonly string[]): void {
  const slices = presents.map((name): [string, Slice] => [name, { value: results[name] as Value, index }]);
  row.past = new Map(slices.filter(([name]) => !name.includes(".encoder.")));
  if (row.age === 0) row.memory.cross = new Map(slices.filter(([name]) => name.includes(".encoder.")));
  row.age += 1;
}
