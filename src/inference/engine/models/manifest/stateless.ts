// A decoder without a cache, with an encoder graph or as one single graph: each step sends the rows' whole targets, so cost grows with the square of their length.
//
//   row.ids ─▶ groups that may share a run ─▶ [rows, T] targets, memory, mask, source ids ─▶ scores at each row's own last position
import type { RowScores } from "../../decoding/search.js";
import {
  groupsBy,
  settleCompany,
  stepKey,
  type Batchability,
  type CompanyModel,
  type StepBatching,
} from "./batchability.js";
import { MemoryBatch } from "./memory-batch.js";
import type { Memory, Row, StepScores } from "../model.js";
import { integerTensor, OnnxSession, type SessionOptions, type TensorInfo, type Value } from "../onnx-session.js";
import { padSources, someSource } from "../padding.js";
import type { SourcePlan, StatelessPlan } from "../../../protocol/plan.js";
import { noEncoder, probePlan, whyAlone } from "./probe-plan.js";
import {
  attentionFault,
  attentionRow,
  fullScores,
  logitsAt,
  requireScoresKind,
  scoredRun,
  scoresByRow,
  type ScoredRun,
} from "./scores.js";
import { SourceEncoder, type EncodedSource } from "./source-encoder.js";
import { batchFirst, firstOrder, inOrder, possibleOrders, rowsFirst, type TimeFirst } from "./time-first.js";
import type { WantedTypes } from "./require-tensors.js";
import { declaredStatelessOrder, memoryTypes, requireStatelessDecoder, sourceOf } from "./require-tensors.js";

interface StatelessRow extends Row {
  readonly memory: EncodedSource;
  /** The target so far, the start token first. Never changed in place: beams share it. */
  ids: readonly number[];
}

const costNote =
  "a decoder without a cache: every step runs the whole target again, so cost grows with the square of its length (an export with a cache does not)";

export class StatelessModel implements CompanyModel {
  vocabSize = 0;
  company: Batchability = { encode: "alone", step: "alone" };
  hasAttention: boolean;
  readonly #plan: StatelessPlan;
  readonly #encoder: SourceEncoder | null;
  readonly #decoder: OnnxSession;
  readonly #source: SourcePlan;
  readonly #targets: TensorInfo;
  readonly #batch: MemoryBatch;
  readonly #wanted: WantedTypes;
  #timeFirst: TimeFirst;
  /** Outputs that are [T, B, …], whatever the order of the targets. */
  readonly #turned: Record<keyof ScoredRun, boolean> = { scores: false, attention: false };
  /** Scores of the last position only: short targets cannot be padded. */
  #isLastOnly = false;

  private constructor(plan: StatelessPlan, encoder: SourceEncoder | null, decoder: OnnxSession) {
    this.#plan = plan;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#targets = requireStatelessDecoder(decoder, plan);
    this.#timeFirst = { ids: declaredStatelessOrder(decoder, plan) === true, mask: false };
    this.#source = encoder?.source ?? sourceOf(plan, decoder, this.#timeFirst.ids);
    this.hasAttention = plan.decoder.outputs.attention !== null;
    const memory = plan.encoder?.outputs.memory ?? null;
    this.#batch = MemoryBatch.over(decoder, plan.decoder.inputs, encoder, this.#source);
    this.#wanted = memoryTypes(memory, decoder.input(plan.decoder.inputs.memory ?? "")?.type);
  }

  static async load(plan: StatelessPlan, options: SessionOptions): Promise<{ model: StatelessModel; notes: string[] }> {
    const encoder = plan.encoder === null ? null : await SourceEncoder.open(plan.encoder, plan.source, options);
    const decoder = await OnnxSession.open(plan.decoder.file, options).catch(async (error: Error) => {
      await encoder?.session.close();
      throw error;
    });
    try {
      const model = new StatelessModel(plan, encoder, decoder);
      return { model, notes: [...(await model.#probe()), costNote] };
    } catch (error) {
      await Promise.all([encoder?.session.close(), decoder.close()]);
      throw error;
    }
  }

  set maskMarks(marks: "real" | "padding") {
    this.#batch.maskMarks = marks;
    if (this.#encoder !== null) this.#encoder.maskMarks = marks;
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    if (this.#encoder !== null) return this.#encoder.encode(sources, this.company.encode, this.#wanted);
    return sources.map((ids) => this.#withoutEncoder(ids));
  }

  open(memory: Memory): Row {
    const row: StatelessRow = { memory: memory as EncodedSource, age: 0, token: 0, ids: [] };
    return row;
  }

  async step(rows: readonly Row[]): Promise<StepScores> {
    const stateless = rows as readonly StatelessRow[];
    for (const row of stateless) row.ids = [...row.ids, row.token];
    const { step } = this.company;
    const scores: RowScores[] = [];
    for (const group of groupsBy(stateless, (row, index) => stepKey(step, row.age, row.memory.width, index))) {
      const members = group.flatMap((index) => stateless[index] ?? []);
      const run = await this.#run(members);
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
    await this.#encoder?.session.close();
    await this.#decoder.close();
  }

  async #run(rows: readonly StatelessRow[]): Promise<ScoredRun> {
    const { outputs } = this.#plan.decoder;
    const { feeds } = this.#batch.of(
      rows.map((row) => row.memory),
      this.company.step,
    );
    const { ids, width } = padSources(
      rows.map((row) => row.ids),
      this.#plan.padId,
      this.#fixedWidth ?? 0,
    );
    if (this.#fixedWidth !== null && width > this.#fixedWidth)
      throw new Error(`the target has ${width} tokens; this graph takes ${this.#fixedWidth}`);
    const { values, dims } = inOrder(ids, [rows.length, width], this.#timeFirst.ids);
    const targets = { [this.#targets.name]: integerTensor(this.#targets, values, dims) };
    const fetches = [outputs.scores, ...(outputs.attention === null ? [] : [outputs.attention])];
    return this.#rowsFirst(
      scoredRun(this.#decoder, outputs, await this.#decoder.run({ ...feeds, ...targets }, fetches)),
    );
  }

  #rowsFirst({ scores, attention }: ScoredRun): ScoredRun {
    return {
      scores: this.#turned.scores ? rowsFirst(scores) : scores,
      attention: attention !== null && this.#turned.attention ? rowsFirst(attention) : attention,
    };
  }

  get #batchAxis(): 0 | 1 {
    return this.#timeFirst.ids ? 1 : 0;
  }

  get #fixedWidth(): number | null {
    const width = this.#targets.dims[1 - this.#batchAxis];
    return typeof width === "number" ? width : null;
  }

  #scoresOf({ scores, attention }: ScoredRun, rows: readonly StatelessRow[], index: number): RowScores {
    const row = rows[index];
    const position = this.#isLastOnly || row === undefined ? undefined : row.ids.length - 1;
    const logits = logitsAt(scores, index, rows.length, position);
    if (attention === null || row === undefined) return fullScores(logits);
    const { start: ownStart, sourceLength: length } = row.memory;
    // Without an encoder short sources stand at the right end of the run's width.
    const isRight = this.#encoder === null && this.#source.padSide === "left";
    const start = isRight ? (attention.dims.at(-1) ?? 0) - length : ownStart;
    const at = attention.dims.length > 2 ? position : undefined;
    return fullScores(logits, attentionRow(attention, index, { start, length }, at));
  }

  #withoutEncoder(ids: readonly number[]): EncodedSource {
    const width = this.#source.padTo ?? ids.length;
    if (ids.length > width) throw new Error(`a source of ${ids.length} tokens, at most ${width} fit`);
    const start = this.#source.padSide === "left" ? width - ids.length : 0;
    return { sourceLength: ids.length, ids, start, width, isOverTokens: true, memory: null, mask: null, states: [] };
  }

  /** Two rows of two tokens over sources of three: in the wrong order their sizes contradict each other. */
  async #findOrder(): Promise<void> {
    const { inputs, timeFirst } = this.#plan.decoder;
    const declared = timeFirst ?? declaredStatelessOrder(this.#decoder, this.#plan);
    const orders = possibleOrders(declared, this.#targets, this.#decoder.input(inputs.mask ?? ""));
    const sources = await this.encode([someSource(this.#source), someSource(this.#source)]);
    const found = await firstOrder(orders, async (order) => {
      this.#setOrder(order);
      return this.#turn(await this.#run(sources.map((one) => this.#rowOf(one, [0, 0, 0, 0]))));
    });
    this.#setOrder(found ?? orders[0] ?? batchFirst);
  }

  #setOrder(order: TimeFirst): void {
    this.#timeFirst = order;
    this.#batch.timeFirst = order;
  }

  /** Of a run of two rows: finds the outputs to be turned; false when none of the axes is the batch. */
  #turn({ scores, attention }: ScoredRun): boolean {
    const isTurned = ({ dims }: Value) => dims.length === 3 && dims[0] !== 2 && dims[1] === 2;
    this.#turned.scores = isTurned(scores);
    this.#turned.attention = attention !== null && isTurned(attention);
    return this.#turned.scores || scores.dims[0] === 2;
  }

  #rowOf(memory: Memory, ids: readonly number[]): StatelessRow {
    return { ...(this.open(memory) as StatelessRow), ids };
  }

  async #probe(): Promise<string[]> {
    const fault = await this.#probeRow();
    const companies: StepBatching[] = this.#isLastOnly
      ? ["equalAges", "equalBoth"]
      : ["any", "equalAges", "equalSources", "equalBoth"];
    const step = {
      companies,
      isMasked: this.#plan.decoder.inputs.mask !== null,
      whyAlone: whyAlone(this.#decoder, this.#targets, this.#batchAxis),
    };
    const files = [this.#encoder?.session.file, this.#decoder.file].filter(Boolean).join(", ");
    const encoder = this.#encoder ?? noEncoder(this.#source);
    const notes = await settleCompany(this, probePlan(files, encoder, step, this.vocabSize));
    return fault === null ? notes : [...notes, fault];
  }

  /** One row once, for what the graph does not say; returns why its attention is of no use, or null. */
  async #probeRow(): Promise<string | null> {
    const { outputs } = this.#plan.decoder;
    await this.#findOrder();
    const source = someSource(this.#source);
    const [memory] = await this.encode([source]);
    const run = await this.#run([this.#rowOf(memory as Memory, [0, 0])]).catch((error: Error) => {
      throw new Error(
        `${this.#decoder.file}: decoder: a probe run of one row failed: ${error.message.split("\n")[0]}`,
        { cause: error },
      );
    });
    const { dims } = run.scores;
    this.vocabSize = dims.at(-1) ?? 0;
    this.#isLastOnly = dims.length === 2 || dims[1] === 1;
    requireScoresKind(this.#decoder, outputs, run, this.#isLastOnly ? undefined : 1);
    const fault = attentionFault(this.#decoder, outputs, run, this.#source.padTo ?? source.length);
    this.hasAttention &&= fault === null;
    return fault;
  }
}
