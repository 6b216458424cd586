// What the decoder gets of the sources of one run: hidden states, mask and source ids, each padded to one width. Kept while the rows stay the same.
import type { SourcePlan } from "../../../protocol/plan.js";
import { numbersOf } from "../elements.js";
import { integerTensor, tensor, type Feeds, type OnnxSession } from "../onnx-session.js";
import { maskDims } from "../padding.js";
import { gatherPadded, gatherRows } from "../rows.js";
import type { Axes } from "./axes.js";
import { sharedWidth, type Batchability } from "./batchability.js";
import type { EncodedSource, SourceEncoder } from "./source-encoder.js";
import { arrange, type TimeFirst } from "./time-first.js";

export interface MemoryInputs {
  readonly memory: string | null;
  readonly mask: string | null;
  readonly source: string | null;
}

interface MemoryBatchParts {
  readonly decoder: OnnxSession;
  readonly inputs: MemoryInputs;
  /** null: there is none. */
  readonly encoder: SourceEncoder | null;
  readonly source: SourcePlan;
  /** Of source ids and mask, as the decoder wants them. */
  readonly timeFirst: TimeFirst;
  readonly batchability: Batchability;
}

/** One run's feeds. */
interface MemoryFeeds {
  readonly feeds: Feeds;
  readonly width: number;
}

export class MemoryBatch {
  readonly #parts: MemoryBatchParts;
  /** Of the encoder's memory. */
  readonly #axes: Axes;
  /** Of the encoder's own mask. */
  readonly #maskAxes: Axes;
  #last: (MemoryFeeds & { readonly sources: readonly EncodedSource[] }) | null = null;

  constructor(parts: MemoryBatchParts) {
    this.#parts = parts;
    const { encoder } = parts;
    const axesOf = (name: string | null | undefined) => encoder?.axes.get(name ?? "") ?? { batch: 0, length: 1 };
    this.#axes = axesOf(encoder?.outputs.memory);
    this.#maskAxes = axesOf(encoder?.outputs.mask);
  }

  feeds(sources: readonly EncodedSource[]): MemoryFeeds {
    const last = this.#last;
    if (last?.sources.length === sources.length && sources.every((source, i) => source === last.sources[i]))
      return last;
    const { inputs, source, batchability } = this.#parts;
    const isMasked = inputs.mask !== null && source.padTo === null;
    const width = sharedWidth(
      batchability.step,
      isMasked,
      sources.map((one) => one.width),
    );
    const feeds = { ...this.#memory(sources, width), ...this.#mask(sources, width), ...this.#ids(sources, width) };
    this.#last = { sources, width, feeds };
    return this.#last;
  }

  #memory(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder } = this.#parts;
    const axes = this.#axes;
    const info = inputs.memory === null ? undefined : decoder.input(inputs.memory);
    if (info === undefined) return {};
    const slices = sources.flatMap(({ memory }) => memory ?? []);
    const { data, dims } =
      axes.length === null ? gatherRows(slices, axes.batch) : gatherPadded(slices, axes.batch, axes.length, width);
    return { [info.name]: tensor(info.type, data, dims) };
  }

  #mask(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder, timeFirst, batchability } = this.#parts;
    const info = inputs.mask === null ? undefined : decoder.input(inputs.mask);
    if (info === undefined) return {};
    const padding = Number(batchability.maskMarks === "padding");
    const mask = new Int32Array(sources.length * width).fill(padding);
    sources.forEach((source, row) => mask.set(this.#maskOf(source, padding, width), row * width));
    const { values, dims } = arrange(mask, maskDims(info, sources.length, width), timeFirst.mask);
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
    const { data } = gatherPadded([mask], this.#maskAxes.batch, this.#maskAxes.length ?? 1, source.width);
    return Int32Array.from(numbersOf(this.#parts.encoder?.maskType ?? "float32", data));
  }

  // Beside a memory the tokens stand where the encoder had them; without one only the manifest says on which side.
  #startOf({ memory, start, sourceLength }: EncodedSource, width: number): number {
    return memory === null && this.#parts.source.padSide === "left" ? width - sourceLength : start;
  }

  #ids(sources: readonly EncodedSource[], width: number): Feeds {
    const { inputs, decoder, source, timeFirst } = this.#parts;
    const info = inputs.source === null ? undefined : decoder.input(inputs.source);
    if (info === undefined) return {};
    const ids = new Int32Array(sources.length * width).fill(source.padId ?? 0);
    sources.forEach((one, row) => ids.set(one.ids, row * width + this.#startOf(one, width)));
    const { values, dims } = arrange(ids, [sources.length, width], timeFirst.ids);
    return { [info.name]: integerTensor(info, values, dims) };
  }
}
