// A recurrent encoder–decoder pair (LSTM, GRU, with or without attention): states have no time axis, so rows of any age share a run.
import type { RowScores, Wanted } from "../decoding/search.js";
import type { Memory, Row, Seq2SeqModel, StepScores } from "./model.js";
import {
  integerTensor,
  OnnxSession,
  tensor,
  valueOf, type Feeds, type SessionOptions, type TensorInfo, type Value } from "./onnx-session.js";
import { lengthMask, padSources } from "./padding.js";
import type { RecurrentPlan } from "./plan.js";
import { gatherPadded, gatherRows, paddedWidth, type Slice } from "./rows.js";
import { attentionRow, fullScores, lastLogits, logInPlace } from "./scores.js";
import { requireTensors } from "./require-tensors.js";

interface RecurrentMemory extends Memory {
  /** [B, S, H] of the encoder run, where the decoder attends. */
  readonly hidden: Slice | null;
  readonly states: readonly Slice[];
}

interface RecurrentRow extends Row {
  readonly memory: RecurrentMemory;
  states: readonly Slice[];
}

export class RecurrentModel implements Seq2SeqModel {
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  readonly #plan: RecurrentPlan;
  readonly #encoder: OnnxSession;
  readonly #decoder: OnnxSession;
  /** Batch axis of each state, in the plan's order. */
  readonly #stateAxes: readonly number[];
  /** The memory tensors of the last step: reused while the rows stay the same. */
  #lastMemory: { readonly rows: readonly RecurrentMemory[]; readonly hidden: Value; readonly mask: Int32Array } | null = null;

  private constructor(plan: RecurrentPlan, encoder: OnnxSession, decoder: OnnxSession) {
    this.#plan = plan;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.vocabSize = Number(decoder.output(plan.decoder.outputs.scores)?.dims.at(-1));
    this.hasAttention = plan.decoder.outputs.attention !== null;
    this.#stateAxes = plan.decoder.inputs.states.map((name) => batchAxis(decoder.input(name)));
  }

  static async load(plan: RecurrentPlan, options: SessionOptions): Promise<RecurrentModel> {
    const encoder = await OnnxSession.open(plan.encoder.file, options);
    const decoder = await OnnxSession.open(plan.decoder.file, options);
    requireTensors(encoder, plan.encoder);
    requireTensors(decoder, plan.decoder);
    return new RecurrentModel(plan, encoder, decoder);
  }

  async encode(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    const { inputs } = this.#plan.encoder;
    if (inputs.mask !== null || inputs.lengths !== null) return this.#encodeTogether(sources);
    // Without mask and lengths the graph cannot tell padding from text: one run per source keeps answers exact.
    const alone: Memory[] = [];
    for (const source of sources) alone.push(...(await this.#encodeTogether([source])));
    return alone;
  }

  async #encodeTogether(sources: readonly (readonly number[])[]): Promise<Memory[]> {
    const padded = padSources(sources, this.#plan.padId);
    const { inputs, outputs } = this.#plan.encoder;
    const shape = [padded.batch, padded.width];
    const feeds: Record<string, Feeds[string]> = {};
    const feed = (name: string | null, values: Int32Array, dims: number[]) => {
      const info = name === null ? undefined : this.#encoder.input(name);
      if (info !== undefined) feeds[info.name] = integerTensor(info, values, dims);
    };
    feed(inputs.ids, padded.ids, shape);
    feed(inputs.mask, padded.mask, shape);
    feed(inputs.lengths, padded.lengths, [padded.batch]);
    const fetches = [...(outputs.memory === null ? [] : [outputs.memory]), ...outputs.states];
    const results = await this.#encoder.run(feeds, fetches);
    return sources.map((source, index) => ({
      sourceLength: source.length,
      hidden: outputs.memory === null ? null : { value: valueOf(results, outputs.memory), index },
      states: outputs.states.map((name) => ({ value: valueOf(results, name), index })),
    }));
  }

  open(memory: Memory): Row {
    const { states } = memory as RecurrentMemory;
    const row: RecurrentRow = { memory: memory as RecurrentMemory, age: 0, token: 0, states };
    return row;
  }

  async step(rows: readonly Row[], wanted: readonly Wanted[]): Promise<StepScores> {
    const recurrent = rows as readonly RecurrentRow[];
    const { outputs } = this.#plan.decoder;
    const fetches = [outputs.scores, ...outputs.states, ...(outputs.attention === null ? [] : [outputs.attention])];
    const results = await this.#decoder.run(this.#stepFeeds(recurrent), fetches);
    recurrent.forEach((row, index) => {
      row.states = outputs.states.map((name) => ({ value: valueOf(results, name), index }));
      row.age += 1;
    });
    return this.#scores(recurrent, wanted, results);
  }

  reorder(rows: readonly Row[], parents: readonly number[]): Row[] {
    return parents.map((parent) => ({ ...(rows[parent] as RecurrentRow) }));
  }

  release(): void {
    // Rows are pointers: the collector frees a batch when its last row is gone.
  }

  async close(): Promise<void> {
    await this.#encoder.close();
    await this.#decoder.close();
  }

  #stepFeeds(rows: readonly RecurrentRow[]): Feeds {
    const { inputs } = this.#plan.decoder;
    const feeds: Record<string, Feeds[string]> = {};
    const ids = infoOf(this.#decoder, inputs.ids);
    const tokens = rows.map((row) => row.token);
    feeds[ids.name] = integerTensor(ids, tokens, ids.dims.length === 1 ? [rows.length] : [rows.length, 1]);
    inputs.states.forEach((name, k) => {
      const slices = rows.map((row) => row.states[k] as Slice);
      const { data, dims } = gatherRows(slices, this.#stateAxes[k] ?? 0);
      feeds[name] = tensor(infoOf(this.#decoder, name).type, data, dims);
    });
    return { ...feeds, ...this.#memoryFeeds(rows) };
  }

  #memoryFeeds(rows: readonly RecurrentRow[]): Feeds {
    const { memory, mask } = this.#plan.decoder.inputs;
    if (memory === null) return {};
    const batch = this.#memoryBatch(rows.map((row) => row.memory));
    const info = infoOf(this.#decoder, memory);
    const feeds: Record<string, Feeds[string]> = { [memory]: tensor(info.type, batch.hidden.data, batch.hidden.dims) };
    if (mask !== null) feeds[mask] = integerTensor(infoOf(this.#decoder, mask), batch.mask, batch.hidden.dims.slice(0, 2));
    return feeds;
  }

  #memoryBatch(memories: readonly RecurrentMemory[]) {
    const last = this.#lastMemory;
    if (last !== null && last.rows.length === memories.length && memories.every((m, i) => m === last.rows[i])) return last;
    const lengths = memories.map((memory) => memory.sourceLength);
    const width = this.#plan.decoder.inputs.mask === null ? Math.max(...lengths) : paddedWidth(Math.max(...lengths));
    const hidden = gatherPadded(memories.map((memory) => memory.hidden as Slice), 0, 1, width);
    this.#lastMemory = { rows: memories, hidden, mask: lengthMask(lengths, width) };
    return this.#lastMemory;
  }

  #scores(rows: readonly RecurrentRow[], wanted: readonly Wanted[], results: Record<string, Value>): StepScores {
    const { scores, scoresAre, attention } = this.#plan.decoder.outputs;
    const value = valueOf(results, scores);
    if (scoresAre === "probs") logInPlace(value.data as Float32Array);
    const logits = lastLogits(value, rows.length);
    const weights = attention === null ? null : valueOf(results, attention);
    return {
      row: (index): RowScores => {
        const row = rows[index];
        const own = logits[index];
        if (row === undefined || own === undefined) throw new Error(`no row ${index} in a step of ${wanted.length}`);
        return fullScores(own, weights === null ? undefined : attentionRow(weights, index, row.memory.sourceLength));
      },
    };
  }
}

function infoOf(session: OnnxSession, name: string): TensorInfo {
  const info = session.input(name);
  if (info === undefined) throw new Error(`${session.file}: no input "${name}"`);
  return info;
}

/** PyTorch states are [layers, B, H], Keras' [B, H]: the symbolic axis tells, and the rank where nothing is symbolic. */
function batchAxis(info: TensorInfo | undefined): number {
  const dims = info?.dims ?? [];
  const symbolic = dims.findIndex((dim) => typeof dim === "string");
  if (symbolic !== -1) return symbolic;
  return dims.length === 3 ? 1 : 0;
}
