// A recurrent encoder–decoder pair (LSTM, GRU, with or without attention): states have no time axis, so rows of any age share a run.
// load-recurrent.ts opens it and finds out what its graphs do not say.
//
//   encode ─▶ memory, states ─▶ rows ─▶ groups that may share a run ─▶ step: token, states, feed, memory in; scores, states, feed out
import type { RecurrentPlan } from "../../../protocol/plan.js";
import type { RowScores } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "../model.js";
import { integerTensor, type Feeds, type OnnxSession, type TensorInfo, type Value } from "../onnx-session.js";
import { oneHot } from "../padding.js";
import type { Slice } from "../rows.js";
import { attentionRow, fullScores, logitsAt, scoredRun, scoresByRow, type ScoredRun } from "../scores.js";
import { groupsBy, stepKey, type Batchability } from "./batchability.js";
import type { DecoderStates } from "./decoder-states.js";
import { MemoryBatch } from "./memory-batch.js";
import { wantedTypes, type WantedTypes } from "./require-tensors.js";
import type { EncodedSource, SourceEncoder } from "./source-encoder.js";
import type { TimeFirst } from "./time-first.js";

export interface RecurrentRow extends Row {
  readonly memory: EncodedSource;
  /** States, then feed. */
  states: readonly Slice[];
}

export interface RecurrentParts {
  readonly plan: RecurrentPlan;
  readonly encoder: SourceEncoder;
  readonly decoder: OnnxSession;
  /** Input of the last ids, or of their one-hot rows. */
  readonly tokens: TensorInfo;
  readonly states: DecoderStates;
}

/** What loading found out. */
export interface RecurrentFacts {
  /** 0 before it is known. */
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly timeFirst: TimeFirst;
  readonly batchability: Batchability;
}

export class RecurrentModel implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly #parts: RecurrentParts;
  readonly #facts: RecurrentFacts;
  readonly #memories: MemoryBatch;
  readonly #wanted: WantedTypes;

  constructor(parts: RecurrentParts, facts: RecurrentFacts) {
    const { plan, encoder, decoder } = parts;
    const { timeFirst, batchability } = facts;
    this.vocabSize = facts.vocabSize;
    this.hasAttention = facts.hasAttention;
    this.#parts = parts;
    this.#facts = facts;
    const inputs = { ...plan.decoder.inputs, source: null };
    this.#memories = new MemoryBatch({ decoder, inputs, encoder, source: encoder.source, timeFirst, batchability });
    this.#wanted = wantedTypes(plan, decoder);
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    return this.#parts.encoder.encode(sources, this.#facts.batchability, this.#wanted);
  }

  open(memory: Memory): RecurrentRow {
    const encoded = memory as EncodedSource;
    return { memory: encoded, age: 0, token: 0, states: this.#parts.states.first(encoded) };
  }

  async step(rows: readonly Row[]): Promise<StepScores> {
    const recurrent = rows as readonly RecurrentRow[];
    const batching = this.#facts.batchability.step;
    const scores: RowScores[] = [];
    for (const group of groupsBy(recurrent, (row, index) => stepKey(batching, 0, row.memory.width, index))) {
      const members = group.flatMap((index) => recurrent[index] ?? []);
      const run = await this.runTogether(members);
      group.forEach((index, k) => (scores[index] = scoresOf(run, members, k)));
    }
    return scoresByRow(scores);
  }

  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    return parents.map((parent) => ({ ...(rows[parent] as RecurrentRow) }));
  }

  release(): void {
    // Rows are pointers: the collector frees a batch when its last row is gone.
  }

  async close(): Promise<void> {
    await this.#parts.encoder.session.close();
    await this.#parts.decoder.close();
  }

  /** One step of these rows in one run, whether they may share one or not. */
  async runTogether(rows: readonly RecurrentRow[]): Promise<ScoredRun> {
    const { decoder, states, plan } = this.#parts;
    const { outputs } = plan.decoder;
    const memory = this.#memories.feeds(rows.map((row) => row.memory));
    const stateFeeds = states.feeds(
      rows.map((row) => row.states),
      memory.width,
    );
    const fetches = [outputs.scores, ...states.outputs, ...(outputs.attention === null ? [] : [outputs.attention])];
    const results = await decoder.run({ ...this.#tokens(rows), ...stateFeeds, ...memory.feeds }, fetches);
    const after = states.after(results, stateFeeds, rows.length);
    rows.forEach((row, index) => {
      row.states = after[index] ?? [];
      row.age += 1;
    });
    return scoredRun(decoder, outputs, results);
  }

  // Ids or one-hot rows, with or without a time axis, which may come first.
  #tokens(rows: readonly RecurrentRow[]): Feeds {
    const { plan, tokens: info } = this.#parts;
    const ids = rows.map((row) => row.token);
    const sizes = this.#facts.timeFirst.ids ? [1, rows.length] : [rows.length, 1];
    if (plan.decoder.inputs.onehot === null)
      return { [info.name]: integerTensor(info, ids, info.dims.length === 1 ? [rows.length] : sizes) };
    const depth = this.#depth;
    const dims = info.dims.length === 2 ? [rows.length, depth] : [...sizes, depth];
    return { [info.name]: integerTensor(info, oneHot(ids, depth), dims) };
  }

  /** Width of one-hot rows. Throws one line where it is not known. */
  get #depth(): number {
    const { decoder, tokens } = this.#parts;
    const declared = tokens.dims.at(-1);
    const depth = typeof declared === "number" ? declared : this.vocabSize;
    if (depth > 0) return depth;
    const expected = `expected a last axis of known size, found ${declared}`;
    throw new Error(`${decoder.file}: decoder.inputs.onehot "${tokens.name}": ${expected}`);
  }
}

/** One row's logits, and its attention over its own source. */
function scoresOf(run: ScoredRun, rows: readonly RecurrentRow[], index: number): RowScores {
  const logits = logitsAt(run.scores, index, rows.length);
  const memory = rows[index]?.memory;
  if (run.attention === null || memory === undefined) return fullScores(logits);
  const span = { start: memory.start, length: memory.sourceLength };
  return fullScores(logits, attentionRow(rowsFirst(run.attention, rows.length), index, span));
}

/** [1, B, S], where tokens are [1, B], is [B, 1, S]. */
function rowsFirst({ data, dims }: Value, rows: number): Value {
  const [first, second, ...rest] = dims;
  return first === 1 && second === rows && rest.length === 1 ? { data, dims: [rows, 1, ...rest] } : { data, dims };
}
