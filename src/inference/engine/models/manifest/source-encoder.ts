// The encoder side of manifest models: sources of ids or one-hot rows, padded as the manifest says, into what the decoder gets of each.
//
//   ids ─▶ groups that may share a run ─▶ padded rectangle, mask, lengths ─▶ run ─▶ slices: memory, mask, states
import type { Axes } from "./axes.js";
import { groupsBy, type EncodeBatching } from "./batchability.js";
import { castElements } from "../elements.js";
import { areRows, declaredOrder, findAxes, type ProbedRuns } from "./encoder-probe.js";
import type { Memory } from "../model.js";
import {
  integerTensor,
  OnnxSession,
  valueOf,
  type Feeds,
  type SessionOptions,
  type TensorInfo,
  type Value,
} from "../onnx-session.js";
import { maskDims, oneHot, padSources, someSource, type PaddedSources } from "../padding.js";
import type { EncoderPlan, SourcePlan } from "../../../protocol/plan.js";
import { whyAlone } from "./probe-plan.js";
import {
  requireDepth,
  requireEncoderKinds,
  requireOneOf,
  requireTensors,
  type WantedTypes,
} from "./require-tensors.js";
import type { Slice } from "../rows.js";
import { batchFirst, firstOrder, inOrder, possibleOrders, type TimeFirst } from "./time-first.js";

export interface EncodedSource extends Memory {
  readonly ids: readonly number[];
  /** Real tokens are [start, start + sourceLength) of width. */
  readonly start: number;
  readonly width: number;
  /** False where an encoder shortens: its positions are no tokens. */
  readonly isOverTokens: boolean;
  readonly memory: Slice | null;
  /** The encoder's own mask. */
  readonly mask: Slice | null;
  readonly states: readonly Slice[];
}

export class SourceEncoder {
  readonly session: OnnxSession;
  readonly source: SourcePlan;
  readonly outputs: EncoderPlan["outputs"];
  readonly #inputs: EncoderPlan["inputs"];
  maskMarks: "real" | "padding" = "real";
  /** Axes by output name. */
  axes: ReadonlyMap<string, Axes> = new Map();
  timeFirst: TimeFirst = batchFirst;

  private constructor(
    session: OnnxSession,
    { inputs, outputs }: EncoderPlan,
    source: SourcePlan,
    isTimeFirst: boolean,
  ) {
    this.session = session;
    this.#inputs = inputs;
    this.outputs = outputs;
    this.timeFirst = { ids: isTimeFirst, mask: false };
    this.source = { ...source, padTo: source.padTo ?? this.#fixedWidth };
  }

  static async open(plan: EncoderPlan, source: SourcePlan, options: SessionOptions): Promise<SourceEncoder> {
    const session = await OnnxSession.open(plan.file, options);
    try {
      requireOneOf(session, "encoder", plan.inputs.ids, plan.inputs.onehot);
      requireTensors(session, "encoder", plan);
      requireEncoderKinds(session, plan);
      const declared = plan.timeFirst ?? declaredOrder(session, plan);
      const encoder = new SourceEncoder(session, plan, source, declared === true);
      encoder.#checkWidths(source);
      await encoder.#findOrder(declared);
      encoder.axes = await findAxes(encoder.#probed);
      return encoder;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Freest first: padding cannot be told from text without mask, lengths or a pad symbol, unless all is padded to one width. */
  get companies(): EncodeBatching[] {
    const { mask, lengths } = this.#inputs;
    const { padTo, padId } = this.source;
    const tells = mask !== null || lengths !== null || padTo !== null || padId !== null;
    return tells ? ["any", "equalLengths"] : ["equalLengths"];
  }

  get whyAlone(): string | null {
    return whyAlone(this.session, this.#ids, this.#batchAxis);
  }

  get isMasked(): boolean {
    return this.#inputs.mask !== null;
  }

  get takesTwo(): boolean {
    return typeof this.#ids.dims[this.#batchAxis] !== "number";
  }

  get #batchAxis(): 0 | 1 {
    return this.timeFirst.ids ? 1 : 0;
  }

  get #fixedWidth(): number | null {
    const width = this.#ids.dims[1 - this.#batchAxis];
    return typeof width === "number" ? width : null;
  }

  /** Ids or one-hot rows. */
  get #ids(): TensorInfo {
    const { ids, onehot } = this.#inputs;
    const info = this.session.input(ids ?? onehot ?? "");
    if (info === undefined)
      throw new Error(`${this.session.file}: expected encoder.inputs.ids or encoder.inputs.onehot`);
    return info;
  }

  /** Element type of the encoder's own mask. */
  get maskType(): string | null {
    return this.session.output(this.outputs.mask ?? "")?.type ?? null;
  }

  get vocabSize(): number {
    const depth = this.#inputs.onehot === null ? undefined : this.#ids.dims.at(-1);
    return typeof depth === "number" ? depth : (this.source.vocabSize ?? 2);
  }

  async encode(
    sources: readonly (readonly number[])[],
    company: EncodeBatching,
    wanted: WantedTypes,
  ): Promise<EncodedSource[]> {
    const { padTo } = this.source;
    const tooLong = sources.find((source) => padTo !== null && source.length > padTo);
    if (tooLong !== undefined) throw new Error(`a source of ${tooLong.length} tokens, at most ${padTo} fit`);
    const encoded: EncodedSource[] = [];
    const keyOf = (source: readonly number[], index: number) =>
      company === "any" ? 0 : company === "alone" ? index : source.length;
    for (const group of groupsBy(sources, keyOf)) {
      const members = group.map((index) => sources[index] ?? []);
      const results = await this.#encodeTogether(members, wanted);
      group.forEach((index, k) => (encoded[index] = results[k] as EncodedSource));
    }
    return encoded;
  }

  async #encodeTogether(sources: readonly (readonly number[])[], wanted: WantedTypes): Promise<EncodedSource[]> {
    const padded = this.#pad(sources);
    const results = await this.session.run(this.#feeds(padded), this.#fetches);
    const values = new Map(this.#fetches.map((name) => [name, this.#cast(name, valueOf(results, name), wanted)]));
    const sliceOf = (name: string, index: number): Slice => ({ value: values.get(name) as Value, index });
    const { memory, mask, states } = this.outputs;
    const lengthAxis = memory === null ? null : (this.axes.get(memory)?.length ?? null);
    const width =
      memory === null || lengthAxis === null ? padded.width : (values.get(memory)?.dims[lengthAxis] ?? padded.width);
    return sources.map((ids, index) => ({
      sourceLength: ids.length,
      ids,
      start: this.source.padSide === "left" ? padded.width - ids.length : 0,
      width,
      isOverTokens: width === padded.width,
      memory: memory === null ? null : sliceOf(memory, index),
      mask: mask === null ? null : sliceOf(mask, index),
      states: states.map((name) => sliceOf(name, index)),
    }));
  }

  get #fetches(): string[] {
    const { memory, mask, states } = this.outputs;
    return [...new Set([memory, mask, ...states].filter((name) => name !== null))];
  }

  #pad(sources: readonly (readonly number[])[]): PaddedSources {
    const { padId, padTo, padSide } = this.source;
    return padSources(sources, padId ?? (this.#inputs.onehot === null ? 0 : -1), padTo ?? 0, padSide);
  }

  #feeds({ batch, width, ids, mask, lengths }: PaddedSources): Feeds {
    const feeds: Record<string, Feeds[string]> = {};
    const feed = (name: string | null, values: Int32Array | Float32Array, dims: number[], isTimeFirst = false) => {
      const info = name === null ? undefined : this.session.input(name);
      if (info === undefined) return;
      const arranged = inOrder(values, dims, isTimeFirst);
      feeds[info.name] = integerTensor(info, arranged.values, arranged.dims);
    };
    const { ids: isTimeFirst, mask: isMaskTimeFirst } = this.timeFirst;
    feed(this.#inputs.ids, ids, [batch, width], isTimeFirst);
    if (this.#inputs.onehot !== null)
      feed(this.#inputs.onehot, oneHot(ids, this.vocabSize), [batch, width, this.vocabSize], isTimeFirst);
    const marks = this.maskMarks === "real" ? mask : mask.map((one) => 1 - one);
    feed(
      this.#inputs.mask,
      marks,
      maskDims(this.session.input(this.#inputs.mask ?? ""), batch, width),
      isMaskTimeFirst,
    );
    feed(this.#inputs.lengths, lengths, [batch]);
    return feeds;
  }

  #cast(name: string, { data, dims }: Value, wanted: WantedTypes): Value {
    const type = this.session.output(name)?.type ?? "float32";
    return { data: castElements(data, type, wanted[name] ?? type, `output "${name}"`), dims };
  }

  async #findOrder(declared: boolean | null): Promise<void> {
    const orders = possibleOrders(declared, this.#ids, this.session.input(this.#inputs.mask ?? ""));
    const [likeliest = batchFirst] = orders;
    const isSettled = orders.length === 1 || !this.takesTwo;
    const found = isSettled ? likeliest : await firstOrder(orders, (order) => this.#areRowsIn(order));
    this.timeFirst = found ?? likeliest;
  }

  #areRowsIn(order: TimeFirst): Promise<boolean> {
    this.timeFirst = order;
    return areRows(this.#probed);
  }

  get someSource(): number[] {
    return someSource(this.source);
  }

  get #probed(): ProbedRuns {
    const { padTo, padId } = this.source;
    const ids = Array.from({ length: Math.min(this.vocabSize, 16) }, (_, id) => id).filter((id) => id !== padId);
    const run = (sources: readonly (readonly number[])[]) =>
      this.session.run(this.#feeds(this.#pad(sources)), this.#fetches);
    return { file: this.session.file, outputs: this.#fetches, ids, takesTwo: this.takesTwo, padTo, run };
  }

  /** Throws one line when the graph's own sizes contradict the manifest. */
  #checkWidths({ padTo, vocabSize }: SourcePlan): void {
    const { file } = this.session;
    const { mask, lengths, onehot } = this.#inputs;
    const width = this.#fixedWidth ?? padTo;
    if (width !== null && (padTo ?? width) !== width)
      throw new Error(`${file}: source.padTo: expected ${width} as the graph has it, found ${padTo}`);
    if (width !== padTo && mask === null && lengths === null)
      throw new Error(
        `${file}: encoder input "${this.#ids.name}" takes ${width} tokens only: expected source.padTo ${width}`,
      );
    if (onehot !== null) requireDepth(file, onehot, this.vocabSize, vocabSize ?? 0);
  }
}
