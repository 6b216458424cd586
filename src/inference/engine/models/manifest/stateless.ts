// A decoder without a cache, with an encoder graph or as one single graph: each step sends the rows' whole targets, so cost grows with the square of their length.
// load-stateless.ts opens it and finds out what its graphs do not say.
//
//   row.ids ─▶ groups that may share a run ─▶ [rows, T] targets, memory, mask, source ids ─▶ scores at each row's own last position
import type { SourcePlan, StatelessPlan } from "../../../protocol/plan.js";
import type { RowScores } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "../model.js";
import { integerTensor, type OnnxSession, type TensorInfo } from "../onnx-session.js";
import { padSources } from "../padding.js";
import { attentionRow, fullScores, logitsAt, scoredRun, scoresByRow, type ScoredRun } from "../scores.js";
import { groupsBy, stepKey, type Batchability } from "./batchability.js";
import { MemoryBatch } from "./memory-batch.js";
import { memoryTypes, type WantedTypes } from "./require-tensors.js";
import type { EncodedSource, SourceEncoder } from "./source-encoder.js";
import { arrange, rowsFirst, type TimeFirst } from "./time-first.js";

export interface StatelessRow extends Row {
  readonly memory: EncodedSource;
  /** The target so far, the start token first. Never changed in place: beams share it. */
  ids: readonly number[];
}

export interface StatelessParts {
  readonly plan: StatelessPlan;
  /** null: one single graph. */
  readonly encoder: SourceEncoder | null;
  readonly decoder: OnnxSession;
  readonly source: SourcePlan;
  readonly targets: TensorInfo;
}

/** What loading found out. */
export interface StatelessFacts {
  /** 0 before it is known. */
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly timeFirst: TimeFirst;
  /** Outputs that are [T, B, …], whatever the order of the targets. */
  readonly outputsTimeFirst: Readonly<Record<keyof ScoredRun, boolean>>;
  /** Scores of the last position only: short targets cannot be padded. */
  readonly isLastOnly: boolean;
  readonly batchability: Batchability;
}

export class StatelessModel implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly #parts: StatelessParts;
  readonly #facts: StatelessFacts;
  readonly #memories: MemoryBatch;
  readonly #wanted: WantedTypes;
  /** The only length of targets that the graph takes; null: any. */
  readonly #fixedWidth: number | null;

  constructor(parts: StatelessParts, facts: StatelessFacts) {
    const { plan, encoder, decoder, source, targets } = parts;
    const { timeFirst, batchability } = facts;
    this.vocabSize = facts.vocabSize;
    this.hasAttention = facts.hasAttention;
    this.#parts = parts;
    this.#facts = facts;
    const { inputs } = plan.decoder;
    this.#memories = new MemoryBatch({ decoder, inputs, encoder, source, timeFirst, batchability });
    this.#wanted = memoryTypes(plan.encoder?.outputs.memory ?? null, decoder.input(inputs.memory ?? "")?.type);
    const width = targets.dims[timeFirst.ids ? 0 : 1];
    this.#fixedWidth = typeof width === "number" ? width : null;
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    const { encoder } = this.#parts;
    if (encoder !== null) return encoder.encode(sources, this.#facts.batchability, this.#wanted);
    return sources.map((ids) => this.#withoutEncoder(ids));
  }

  open(memory: Memory): StatelessRow {
    return { memory: memory as EncodedSource, age: 0, token: 0, ids: [] };
  }

  async step(rows: readonly Row[]): Promise<StepScores> {
    const stateless = rows as readonly StatelessRow[];
    for (const row of stateless) row.ids = [...row.ids, row.token];
    const batching = this.#facts.batchability.step;
    const scores: RowScores[] = [];
    for (const group of groupsBy(stateless, (row, index) => stepKey(batching, row.age, row.memory.width, index))) {
      const members = group.flatMap((index) => stateless[index] ?? []);
      const run = await this.runTogether(members);
      group.forEach((index, k) => (scores[index] = this.#scoresOf(run, members, k)));
    }
    for (const row of stateless) row.age += 1;
    return scoresByRow(scores);
  }

  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    return parents.map((parent) => ({ ...(rows[parent] as StatelessRow) }));
  }

  release(): void {
    // Rows are ids and a pointer to their memory.
  }

  async close(): Promise<void> {
    await this.#parts.encoder?.session.close();
    await this.#parts.decoder.close();
  }

  /** Scores of these rows' targets in one run, whether they may share one or not. */
  async runTogether(rows: readonly StatelessRow[]): Promise<ScoredRun> {
    const { plan, decoder, targets } = this.#parts;
    const { timeFirst, outputsTimeFirst } = this.#facts;
    const { outputs } = plan.decoder;
    const { feeds } = this.#memories.feeds(rows.map((row) => row.memory));
    const { ids, width } = padSources(
      rows.map((row) => row.ids),
      plan.padId,
      this.#fixedWidth ?? 0,
    );
    if (this.#fixedWidth !== null && width > this.#fixedWidth)
      throw new Error(`the target has ${width} tokens; this graph takes ${this.#fixedWidth}`);
    const { values, dims } = arrange(ids, [rows.length, width], timeFirst.ids);
    const fetches = [outputs.scores, ...(outputs.attention === null ? [] : [outputs.attention])];
    const results = await decoder.run({ ...feeds, [targets.name]: integerTensor(targets, values, dims) }, fetches);
    const { scores, attention } = scoredRun(decoder, outputs, results);
    return {
      scores: outputsTimeFirst.scores ? rowsFirst(scores) : scores,
      attention: attention !== null && outputsTimeFirst.attention ? rowsFirst(attention) : attention,
    };
  }

  #scoresOf({ scores, attention }: ScoredRun, rows: readonly StatelessRow[], index: number): RowScores {
    const { encoder, source } = this.#parts;
    const row = rows[index];
    const position = this.#facts.isLastOnly || row === undefined ? undefined : row.ids.length - 1;
    const logits = logitsAt(scores, index, rows.length, position);
    if (attention === null || row === undefined) return fullScores(logits);
    const { start: ownStart, sourceLength: length } = row.memory;
    // Without an encoder short sources stand at the right end of the run's width.
    const isRight = encoder === null && source.padSide === "left";
    const start = isRight ? (attention.dims.at(-1) ?? 0) - length : ownStart;
    const at = attention.dims.length > 2 ? position : undefined;
    return fullScores(logits, attentionRow(attention, index, { start, length }, at));
  }

  #withoutEncoder(ids: readonly number[]): EncodedSource {
    const { source } = this.#parts;
    const width = source.padTo ?? ids.length;
    if (ids.length > width) throw new Error(`a source of ${ids.length} tokens, at most ${width} fit`);
    const start = source.padSide === "left" ? width - ids.length : 0;
    return { sourceLength: ids.length, ids, start, width, isOverTokens: true, memory: null, mask: null, states: [] };
  }
}
