// The encoder side of manifest models, ready to serve: sources into what the decoder gets of each. load-encoder.ts opens it and finds its axes.
//
//   ids ─▶ groups that may share a run ─▶ padded rectangle, mask, lengths ─▶ run ─▶ slices: memory, mask, states
import type { EncoderPlan, SourcePlan } from "../../../protocol/plan.js";
import { castElements } from "../elements.js";
import type { Memory } from "../model.js";
import { valueOf, type OnnxSession, type Value } from "../onnx-session.js";
import { someSource } from "../padding.js";
import type { Slice } from "../rows.js";
import type { Axes } from "./axes.js";
import { whyAlone, type ProbedSide } from "./batchability-probe.js";
import { encodeKey, groupsBy, type Batchability, type EncodeBatching } from "./batchability.js";
import type { EncoderGraph } from "./encoder-graph.js";
import type { WantedTypes } from "./require-tensors.js";

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
  /** By output name. */
  readonly axes: ReadonlyMap<string, Axes>;
  readonly #graph: EncoderGraph;

  constructor(graph: EncoderGraph, axes: ReadonlyMap<string, Axes>) {
    this.#graph = graph;
    this.axes = axes;
  }

  get session(): OnnxSession {
    return this.#graph.session;
  }

  get source(): SourcePlan {
    return this.#graph.source;
  }

  get outputs(): EncoderPlan["outputs"] {
    return this.#graph.outputs;
  }

  get someSource(): number[] {
    return someSource(this.source);
  }

  /** Element type of the encoder's own mask. */
  get maskType(): string | null {
    return this.session.output(this.outputs.mask ?? "")?.type ?? null;
  }

  /** For the probe of who may share a run. */
  get probed(): ProbedSide<EncodeBatching> {
    const { session, ids, batchAxis, inputs, vocabSize, source } = this.#graph;
    // Padding cannot be told from text without mask, lengths or a pad symbol, unless all is padded to one width.
    const tellsPadding =
      inputs.mask !== null || inputs.lengths !== null || source.padTo !== null || source.padId !== null;
    return {
      candidates: tellsPadding ? ["any", "equalLengths"] : ["equalLengths"],
      isMasked: inputs.mask !== null,
      whyAlone: whyAlone(session, ids, batchAxis),
      vocabSize,
    };
  }

  /** @param wanted element types that the decoder takes, by output name */
  async encode(
    sources: readonly (readonly number[])[],
    batchability: Batchability,
    wanted: WantedTypes,
  ): Promise<EncodedSource[]> {
    const { padTo } = this.source;
    const tooLong = sources.find((source) => padTo !== null && source.length > padTo);
    if (tooLong !== undefined) throw new Error(`a source of ${tooLong.length} tokens, at most ${padTo} fit`);
    const encoded: EncodedSource[] = [];
    const keyOf = (source: readonly number[], index: number) => encodeKey(batchability.encode, source.length, index);
    for (const group of groupsBy(sources, keyOf)) {
      const members = group.map((index) => sources[index] ?? []);
      const results = await this.#encodeTogether(members, batchability.maskMarks, wanted);
      group.forEach((index, k) => (encoded[index] = results[k] as EncodedSource));
    }
    return encoded;
  }

  async #encodeTogether(
    sources: readonly (readonly number[])[],
    maskMarks: Batchability["maskMarks"],
    wanted: WantedTypes,
  ): Promise<EncodedSource[]> {
    const { padded, results } = await this.#graph.run(sources, maskMarks);
    const values = new Map(this.#graph.fetches.map((name) => [name, this.#cast(name, valueOf(results, name), wanted)]));
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

  #cast(name: string, { data, dims }: Value, wanted: WantedTypes): Value {
    const type = this.session.output(name)?.type ?? "float32";
    return { data: castElements(data, type, wanted[name] ?? type, `output "${name}"`), dims };
  }
}
