// A recurrent encoder–decoder pair (LSTM, GRU, with or without attention): states have no time axis, so rows of any age share a run.
//
//   encode ─▶ memory, states ─▶ rows ─▶ groups that may share a run ─▶ step: token, states, feed, memory in; scores, states, feed out
import type { RowScores } from "../decoding/search.js";
import { groupsBy, settleCompany, stepKey, type Company, type CompanyModel, type StepCompany } from "./company.js";
import { DecoderStates } from "./decoder-states.js";
import { MemoryBatch } from "./memory-batch.js";
import type { Memory, Row, StepScores } from "./model.js";
import { integerTensor, OnnxSession, type Feeds, type SessionOptions, type TensorInfo } from "./onnx-session.js";
import { oneHot } from "./padding.js";
import type { RecurrentPlan } from "./plan.js";
import { probePlan, whyAlone } from "./probe-plan.js";
import { flags, floats, integers, requireKind, requireOneOf, requireTensors } from "./require-tensors.js";
import type { Slice } from "./rows.js";
import {
  attentionRow,
  fullScores,
  logitsAt,
  requireScoresKind,
  scoredRun,
  scoresByRow,
  type ScoredRun,
} from "./scores.js";
import { SourceEncoder, type EncodedSource, type WantedTypes } from "./source-encoder.js";

interface RecurrentRow extends Row {
  readonly memory: EncodedSource;
  /** States, then feed. */
  states: readonly Slice[];
}

export class RecurrentModel implements CompanyModel {
  vocabSize = 0;
  company: Company = { encode: "alone", step: "alone" };
  readonly hasAttention: boolean;
  readonly #plan: RecurrentPlan;
  readonly #encoder: SourceEncoder;
  readonly #decoder: OnnxSession;
  readonly #ids: TensorInfo;
  readonly #states: DecoderStates;
  readonly #batch: MemoryBatch;
  readonly #wanted: WantedTypes;

  private constructor(plan: RecurrentPlan, encoder: SourceEncoder, decoder: OnnxSession) {
    const { inputs, outputs } = plan.decoder;
    this.#plan = plan;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#ids = requireDecoder(decoder, plan);
    this.hasAttention = outputs.attention !== null;
    this.#states = new DecoderStates(decoder, plan.decoder, encoder, this.#ids.dims[0]);
    this.#batch = new MemoryBatch({
      decoder,
      inputs: { ...inputs, source: null },
      axes: encoder.axes.get(plan.encoder.outputs.memory ?? "") ?? { batch: 0, length: 1 },
      source: encoder.source,
      maskType: encoder.maskType,
    });
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
    const groups = groupsBy(recurrent, (row, index) => stepKey(this.company.step, 0, row.memory.width, index));
    const scores: RowScores[] = [];
    for (const group of groups) {
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
    const feeds = {
      ...this.#tokens(rows),
      ...this.#states.feeds(
        rows.map((row) => row.states),
        memory.width,
      ),
      ...memory.feeds,
    };
    const fetches = [
      outputs.scores,
      ...this.#states.outputs,
      ...(outputs.attention === null ? [] : [outputs.attention]),
    ];
    const results = await this.#decoder.run(feeds, fetches);
    const states = this.#states.after(results, rows.length);
    rows.forEach((row, index) => {
      row.states = states[index] ?? [];
      row.age += 1;
    });
    return scoredRun(this.#decoder, outputs, results);
  }

  #tokens(rows: readonly RecurrentRow[]): Feeds {
    const info = this.#ids;
    const tokens = rows.map((row) => row.token);
    if (this.#plan.decoder.inputs.onehot === null)
      return { [info.name]: integerTensor(info, tokens, info.dims.length === 1 ? [rows.length] : [rows.length, 1]) };
    const depth = this.#depth;
    const dims = info.dims.length === 2 ? [rows.length, depth] : [rows.length, 1, depth];
    return { [info.name]: integerTensor(info, oneHot(tokens, depth), dims) };
  }

  get #depth(): number {
    const depth = this.#ids.dims.at(-1);
    const size = typeof depth === "number" ? depth : this.vocabSize;
    if (size > 0) return size;
    throw new Error(
      `${this.#decoder.file}: decoder.inputs.onehot "${this.#ids.name}": expected a last axis of known size, found ${depth}`,
    );
  }

  /** One row once for sizes that the graph does not say, then who may share runs. */
  async #probe(): Promise<string[]> {
    const { outputs } = this.#plan.decoder;
    const declared = this.#decoder.output(outputs.scores)?.dims.at(-1);
    if (typeof declared === "number") this.vocabSize = declared;
    const [memory] = await this.encode([[0]]);
    const row = this.open(memory as Memory) as RecurrentRow;
    const run = await this.#run([row]).catch((error: Error) => {
      throw new Error(
        `${this.#decoder.file}: decoder: a probe run of one row failed: ${error.message.split("\n")[0]}`,
        { cause: error },
      );
    });
    this.vocabSize = run.scores.dims.at(-1) ?? 0;
    const logprobs = logitsAt(run.scores, 0, 1);
    const raw = outputs.scoresAre === "probs" ? logprobs.map(Math.exp) : logprobs;
    requireScoresKind(`${this.#decoder.file}: decoder.outputs.scores "${outputs.scores}"`, outputs.scoresAre, raw);
    const { mask, memory: attended } = this.#plan.decoder.inputs;
    const isSafe = attended === null || mask !== null || this.#encoder.source.padTo !== null;
    const companies: StepCompany[] = isSafe ? ["any", "equalSources"] : ["equalSources"];
    const step = { companies, isMasked: mask !== null, whyAlone: whyAlone(this.#decoder, this.#ids) };
    return settleCompany(
      this,
      probePlan(`${this.#encoder.session.file}, ${this.#decoder.file}`, this.#encoder, step, this.vocabSize),
    );
  }
}

function scoresOf(run: ScoredRun, rows: readonly RecurrentRow[], index: number): RowScores {
  const logits = logitsAt(run.scores, index, rows.length);
  const memory = rows[index]?.memory;
  if (run.attention === null || memory === undefined) return fullScores(logits);
  return fullScores(logits, attentionRow(run.attention, index, { start: memory.start, length: memory.sourceLength }));
}

/** Throws one line that names file, role, tensor, expected and found; returns the token input. */
function requireDecoder(decoder: OnnxSession, { encoder, decoder: plan }: RecurrentPlan): TensorInfo {
  const { ids, onehot, memory, mask, states, feed } = plan.inputs;
  requireOneOf(decoder, "decoder", ids, onehot);
  requireTensors(decoder, "decoder", plan);
  requireKind(decoder, "decoder.inputs.ids", decoder.input(ids ?? ""), { ranks: [1, 2], types: integers });
  requireKind(decoder, "decoder.inputs.onehot", decoder.input(onehot ?? ""), { ranks: [2, 3], types: flags });
  requireKind(decoder, "decoder.inputs.mask", decoder.input(mask ?? ""), { ranks: [2, 3, 4], types: flags });
  requireKind(decoder, "decoder.outputs.scores", decoder.output(plan.outputs.scores), { ranks: [2, 3], types: floats });
  requireKind(decoder, "decoder.outputs.attention", decoder.output(plan.outputs.attention ?? ""), {
    ranks: [2, 3, 4],
    types: floats,
  });
  requirePairs(decoder.file, "states", states, plan.outputs.states);
  requirePairs(decoder.file, "feed", feed, plan.outputs.feed);
  if (memory !== null && encoder.outputs.memory === null)
    throw new Error(
      `${decoder.file}: decoder.inputs.memory "${memory}": expected encoder.outputs.memory beside it, found none`,
    );
  const info = decoder.input(ids ?? onehot ?? "");
  if (info === undefined) throw new Error(`${decoder.file}: no input for the last token`);
  return info;
}

function requirePairs(file: string, role: string, inputs: readonly string[], outputs: readonly string[]): void {
  if (inputs.length === outputs.length) return;
  throw new Error(
    `${file}: decoder.outputs.${role}: expected ${inputs.length} as decoder.inputs.${role} has, found ${outputs.length}`,
  );
}

function wantedTypes({ encoder, decoder: plan }: RecurrentPlan, decoder: OnnxSession): WantedTypes {
  const pairs = [
    [encoder.outputs.memory, plan.inputs.memory],
    ...encoder.outputs.states.map((name, k) => [name, plan.inputs.states[k]]),
  ];
  return Object.fromEntries(
    pairs.flatMap(([from, to]) => {
      const type = decoder.input(to ?? "")?.type;
      return typeof from === "string" && type !== undefined ? [[from, type] as const] : [];
    }),
  );
}
