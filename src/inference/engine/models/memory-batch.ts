// What the decoder gets of the sources of one run: hidden states, mask and source ids, each padded to one width. Kept while the rows stay the same.
import type { Axes } from "./axes.js";
import { sharedWidth, type StepCompany } from "./company.js";
import { numbersOf } from "./elements.js";
import { integerTensor, tensor, type Feeds, type OnnxSession } from "./onnx-session.js";
import type { SourcePlan } from "./plan.js";
import { gatherPadded, gatherRows } from "./rows.js";
import type { EncodedSource } from "./source-encoder.js";
import { maskDims } from "./padding.js";

export interface MemoryInputs {
  readonly memory: string | null;
  readonly mask: string | null;
  readonly source: string | null;
}

export interface MemoryBatchOptions {
  readonly decoder: OnnxSession;
  readonly inputs: MemoryInputs;
  /** Of the encoder's memory. */
  readonly axes: Axes;
  readonly source: SourcePlan;
  /** Element type of the encoder's own mask. */
  readonly maskType: string | null;
}

export class MemoryBatch {
  maskMarks: "real" | "padding" = "real";
  readonly #options: MemoryBatchOptions;
  #last: {
    readonly sources: readonly EncodedSource[];
    readonly company: StepCompany;
    readonly maskMarks: string;
    readonly feeds: Feeds;
    readonly width: number;
  } | null = null;

  constructor(options: MemoryBatchOptions) {
    this.#options = options;
  }

  of(sources: readonly EncodedSource[], company: StepCompany): { readonly feeds: Feeds; readonly width: number } {
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
    return { [info.name]: integerTensor(info, mask, maskDims(info, sources.length, width)) };
  }

  // The encoder's own mask is already as its decoder wants it.
  #maskOf(source: EncodedSource, padding: number, width: number): Int32Array {
    const { mask, sourceLength } = source;
    if (mask === null) {
      const start = this.#startOf(source, width);
      return new Int32Array(width).fill(padding).fill(1 - padding, start, start + sourceLength);
    }
    const numbers = Int32Array.from(numbersOf(this.#options.maskType ?? "float32", mask.value.data));
    return numbers.subarray(mask.index * source.width, (mask.index + 1) * source.width);
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
    return { [info.name]: integerTensor(info, ids, [sources.length, width]) };
  }
}
