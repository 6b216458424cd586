// A recurrent encoder–decoder pair (LSTM, GRU, with or without attention): states have no time axis, so rows of any age share a run.
//
//   encode ─▶ memory, states ─▶ rows ─▶ groups that may share a run ─▶ step: token, states, feed, memory in; scores, states, feed out
import type { RowScores } from "../../decoding/search.js";
import {
  groupsBy,
  settleCompany,
  stepKey,
  type Batchability,
  type CompanyModel,
  type StepBatching,
} from "./batchability.js";
import { DecoderStates } from "./decoder-states.js";
import { MemoryBatch } from "./memory-batch.js";
import type { Memory, Row, StepScores } from "../model.js";
import { OnnxSession, type Feeds, type SessionOptions, type TensorInfo } from "../onnx-session.js";
import type { RecurrentPlan } from "../../../protocol/plan.js";
import { probePlan, whyAlone } from "./probe-plan.js";
import type { Slice } from "../rows.js";
import { batchFirst, firstOrder, possibleOrders, type TimeFirst } from "./time-first.js";
import { attentionFault, requireScoresKind, scoredRun, scoresByRow, type ScoredRun } from "./scores.js";
import { scoresOf } from "./recurrent-scores.js";
import { tokenFeeds } from "./recurrent-tokens.js";
import { SourceEncoder, type EncodedSource } from "./source-encoder.js";
import type { WantedTypes } from "./require-tensors.js";
import { declaredRecurrentOrder, requireRecurrentDecoder, wantedTypes } from "./require-tensors.js";

interface RecurrentRow extends Row {
  readonly memory: EncodedSource;
  /** States, then feed. */
  states: readonly Slice[];
}

export class RecurrentModel implements CompanyModel {
  vocabSize = 0;
  company: Batchability = { encode: "alone", step: "alone" };
  hasAttention: boolean;
  readonly #plan: RecurrentPlan;
  readonly #encoder: SourceEncoder;
  readonly #decoder: OnnxSession;
  readonly #ids: TensorInfo;
  readonly #states: DecoderStates;
  readonly #batch: MemoryBatch;
  readonly #wanted: WantedTypes;
  #timeFirst: TimeFirst;

  private constructor(plan: RecurrentPlan, encoder: SourceEncoder, decoder: OnnxSession) {
    const { inputs, outputs } = plan.decoder;
    this.#plan = plan;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#ids = requireRecurrentDecoder(decoder, plan);
    this.hasAttention = outputs.attention !== null;
    this.#timeFirst = { ids: declaredRecurrentOrder(decoder, plan) === true, mask: false };
    this.#states = new DecoderStates(decoder, plan.decoder, encoder, this.#ids.dims[this.#batchAxis]);
    this.#batch = MemoryBatch.over(decoder, { ...inputs, source: null }, encoder, encoder.source);
    this.#wanted = wantedTypes(plan, decoder);
  }

  static async load(plan: RecurrentPlan, options: SessionOptions): Promise<{ model: RecurrentModel; notes: string[] }> {
    const encoder = await SourceEncoder.open(plan.encoder, plan.source, options);
    const decoder = await OnnxSession.open(plan.decoder.file, options).catch(async (error: Error) => {
      await encoder.session.close();
      throw error;
    });
    try {
      const model = new RecurrentModel(plan, encoder, decoder);
      return { model, notes: await model.#probe() };
    } catch (error) {
      await Promise.all([encoder.session.close(), decoder.close()]);
      throw error;
    }
  }

  set maskMarks(marks: "real" | "padding") {
    this.#batch.maskMarks = marks;
    this.#encoder.maskMarks = marks;
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    return this.#encoder.encode(sources, this.company.encode, this.#wanted);
  }

  open(memory: Memory): Row {
    const encoded = memory as EncodedSource;
    const row: RecurrentRow = { memory: encoded, age: 0, token: 0, states: this.#states.first(encoded) };
    return row;
  }

  async step(rows: readonly Row[]): Promise<StepScores> {
    const recurrent = rows as readonly RecurrentRow[];
    const scores: RowScores[] = [];
    for (const group of groupsBy(recurrent, (row, index) => stepKey(this.company.step, 0, row.memory.width, index))) {
      const members = group.flatMap((index) => recurrent[index] ?? []);
      const run = await this.#run(members);
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
    await this.#encoder.session.close();
    await this.#decoder.close();
  }

  async #run(rows: readonly RecurrentRow[]): Promise<ScoredRun> {
    const { outputs } = this.#plan.decoder;
    const memory = this.#batch.of(
      rows.map((row) => row.memory),
      this.company.step,
    );
    const states = this.#states.feeds(
      rows.map((row) => row.states),
      memory.width,
    );
    const fetches = [
      outputs.scores,
      ...this.#states.outputs,
      ...(outputs.attention === null ? [] : [outputs.attention]),
    ];
    const results = await this.#decoder.run({ ...this.#tokens(rows), ...states, ...memory.feeds }, fetches);
    const after = this.#states.after(results, rows.length);
    rows.forEach((row, index) => {
      row.states = after[index] ?? [];
      row.age += 1;
    });
    return scoredRun(this.#decoder, outputs, results);
  }

  #tokens(rows: readonly RecurrentRow[]): Feeds {
    const tokens = rows.map((row) => row.token);
    const kind = { isOneHot: this.#plan.decoder.inputs.onehot !== null, isTimeFirst: this.#timeFirst.ids };
    return tokenFeeds(this.#decoder.file, this.#ids, tokens, { ...kind, vocabSize: this.vocabSize });
  }

  get #batchAxis(): 0 | 1 {
    return this.#timeFirst.ids ? 1 : 0;
  }

  /** One token of two rows: in the wrong order they don't run, or their states come out in other sizes. */
  async #findOrder(): Promise<void> {
    const { mask } = this.#plan.decoder.inputs;
    const declared = this.#plan.decoder.timeFirst ?? declaredRecurrentOrder(this.#decoder, this.#plan);
    const orders = possibleOrders(declared, this.#ids, this.#decoder.input(mask ?? ""));
    const sources = await this.encode([this.#encoder.someSource, this.#encoder.someSource]);
    const found = await firstOrder(orders, async (order) => {
      this.#setOrder(order);
      await this.#run(sources.map((memory) => this.open(memory) as RecurrentRow));
      return true;
    });
    this.#setOrder(found ?? orders[0] ?? batchFirst);
  }

  #setOrder(order: TimeFirst): void {
    this.#timeFirst = order;
    this.#batch.timeFirst = order;
  }

  async #probe(): Promise<string[]> {
    const fault = await this.#probeRow();
    const { mask, memory: attended } = this.#plan.decoder.inputs;
    const isSafe = attended === null || mask !== null || this.#encoder.source.padTo !== null;
    const companies: StepBatching[] = isSafe ? ["any", "equalSources"] : ["equalSources"];
    const step = { companies, isMasked: mask !== null, whyAlone: whyAlone(this.#decoder, this.#ids, this.#batchAxis) };
    const notes = await settleCompany(
      this,
      probePlan(`${this.#encoder.session.file}, ${this.#decoder.file}`, this.#encoder, step, this.vocabSize),
    );
    return fault === null ? notes : [...notes, fault];
  }

  /** One row once, for what the graph does not say; returns why its attention is of no use, or null. */
  async #probeRow(): Promise<string | null> {
    const { outputs } = this.#plan.decoder;
    const declared = this.#decoder.output(outputs.scores)?.dims.at(-1);
    if (typeof declared === "number") this.vocabSize = declared;
    await this.#findOrder();
    const { someSource, source } = this.#encoder;
    const [memory] = await this.encode([someSource]);
    const row = this.open(memory as Memory) as RecurrentRow;
    const run = await this.#run([row]).catch((error: Error) => {
      throw new Error(
        `${this.#decoder.file}: decoder: a probe run of one row failed: ${error.message.split("\n")[0]}`,
        { cause: error },
      );
    });
    this.vocabSize = run.scores.dims.at(-1) ?? 0;
    requireScoresKind(this.#decoder, outputs, run);
    const fault = attentionFault(this.#decoder, outputs, run, source.padTo ?? someSource.length);
    this.hasAttention &&= fault === null;
    return fault;
  }
}
