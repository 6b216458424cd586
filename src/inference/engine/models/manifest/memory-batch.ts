// What the decoder gets of the sources of one run: hidden states, mask and source ids, each padded to one width. Kept while the rows stay the same.
import type { Axes } from "./axes.js";
import { sharedWidth, type StepBatching } from "./batchability.js";
import { numbersOf } from "../elements.js";
import { integerTensor, tensor, type Feeds, type OnnxSession } from "../onnx-session.js";
import type { SourcePlan } from "../../../protocol/plan.js";
import { gatherPadded, gatherRows } from "../rows.js";
import type { EncodedSource, SourceEncoder } from "./source-encoder.js";
import { maskDims } from "../padding.js";
import { batchFirst, inOrder, type TimeFirst } from "./time-first.js";

export interface MemoryInputs {
  readonly memory: string | null;
  readonly mask: string | null;
  readonly source: string | null;
}

interface MemoryBatchOptions {
  readonly decoder: OnnxSession;
  readonly inputs: MemoryInputs;
  /** Of the encoder's memory. */
  readonly axes: Axes;
  /** Of the encoder's own mask. */
  readonly maskAxes: Axes;
  readonly source: SourcePlan;
  /** Element type of the encoder's own mask. */
  readonly maskType: string | null;
}

export class MemoryBatch {
  maskMarks: "real" | "padding" = "real";
  #timeFirst: TimeFirst = batchFirst;
  readonly #options: MemoryBatchOptions;
  #last: {
    readonly sources: readonly EncodedSource[];
    readonly company: StepBatching;
    readonly maskMarks: string;
    readonly feeds: Feeds;
    readonly width: number;
  } | null = null;

  private constructor(options: MemoryBatchOptions) {
    this.#options = options;
  }

  /** Over what that encoder hands out; null: there is none. */
  static over(
    decoder: OnnxSession,
    inputs: MemoryInputs,
    encoder: SourceEncoder | null,
    source: SourcePlan,
  ): MemoryBatch {
    const { memory = null, mask = null } = encoder?.outputs ?? {};
    const axesOf = (name: string | null) => encoder?.axes.get(name ?? "") ?? { batch: 0, length: 1 };
    const [axes, maskAxes, maskType] = [axesOf(memory), axesOf(mask), encoder?.maskType ?? null];
    return new MemoryBatch({ decoder, inputs, axes, maskAxes, source, maskType });
  }

  /** Of source ids and mask, as the decoder wants them. */
  set timeFirst(order: TimeFirst) {
    this.#timeFirst = order;
    this.#last = null;
  }

  of(sources: readonly EncodedSource[], company: StepBatching): { readonly feeds: Feeds; readonly width: number } {
    const last = this.#last;
    const isSame =
      last?.company === company && last.maskMarks === this.maskMarks && last.sources.length === sources.length;
    if (last !== null && isSame && sources.every((source, i) => source === last.sources[i])) return last;
    const { inputs, source } = this.#options;
    const isMasked = inputs.mask !== null && source.padTo === null;
    const width = sharedWidth(
      company,
      isMasked,
      sources.map((one) => one.width),
    );
    this.#last = {
      maskMarks: this.maskMarks,
      sources,
      company,
      width,
      feeds: { ...this.#memory(sources, width), ...this.#mask(sources, width), ...this.#ids(sources, width) },
    };
    return this.#last;
  }

  #memory(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder, axes } = this.#options;
    const info = inputs.memory === null ? undefined : decoder.input(inputs.memory);
    if (info === undefined) return {};
    const slices = sources.flatMap(({ memory }) => memory ?? []);
    const { data, dims } =
      axes.length === null ? gatherRows(slices, axes.batch) : gatherPadded(slices, axes.batch, axes.length, width);
    return { [info.name]: tensor(info.type, data, dims) };
  }

  #mask(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder } = this.#options;
    const info = inputs.mask === null ? undefined : decoder.input(inputs.mask);
    if (info === undefined) return {};
    const padding = Number(this.maskMarks === "padding");
    const mask = new Int32Array(sources.length * width).fill(padding);
    sources.forEach((source, row) => mask.set(this.#maskOf(source, padding, width), row * width));
    const { values, dims } = inOrder(mask, maskDims(info, sources.length, width), this.#timeFirst.mask);
    return { [info.name]: integerTensor(info, values, dims) };
  }

  // The encoder's own mask is already as its decoder wants it.
  #maskOf(source: EncodedSource, padding: number, width: number): Int32Array {
    const { mask, sourceLength, isOverTokens } = source;
    if (mask === null) {
      if (!isOverTokens) return new Int32Array(width).fill(padding).fill(1 - padding, 0, source.width);
      const start = this.#startOf(source, width);
      return new Int32Array(width).fill(padding).fill(1 - padding, start, start + sourceLength);
    }
    const { maskType, maskAxes } = this.#options;
    const { data } = gatherPadded([mask], maskAxes.batch, maskAxes.length ?? 1, source.width);
    return Int32Array.from(numbersOf(maskType ?? "float32", data));
  }

  // Beside a memory the tokens stand where the encoder had them; without one only the manifest says on which side.
  #startOf({ memory, start, sourceLength }: EncodedSource, width: number): number {
    return memory === null && this.#options.source.padSide === "left" ? width - sourceLength : start;
  }

  #ids(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder, source } = this.#options;
    const info = inputs.source === null ? undefined : decoder.input(inputs.source);
    if (info === undefined) return {};
    const ids = new Int32Array(sources.length * width).fill(source.padId ?? 0);
    sources.forEach((one, row) => ids.set(one.ids, row * width + this.#startOf(one, width)));
    const { values, dims } = inOrder(ids, [sources.length, width], this.#timeFirst.ids);
    return { [info.name]: integerTensor(info, values, dims) };
  }
}
