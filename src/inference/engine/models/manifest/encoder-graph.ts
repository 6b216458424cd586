// An encoder's graph behind its roles: padded sources in, whatever a manifest calls memory, mask and states out. Knows nothing of batching.
import type { EncoderPlan, SourcePlan } from "../../../protocol/plan.js";
import { integerTensor, type Feeds, type OnnxSession, type TensorInfo, type Value } from "../onnx-session.js";
import { maskDims, oneHot, padSources, type PaddedSources } from "../padding.js";
import type { Batchability } from "./batchability.js";
import { arrange, type TimeFirst } from "./time-first.js";

export interface EncoderRun {
  readonly padded: PaddedSources;
  /** By output name, as the graph returned them. */
  readonly results: Readonly<Record<string, Value>>;
}

export class EncoderGraph {
  readonly session: OnnxSession;
  readonly inputs: EncoderPlan["inputs"];
  readonly outputs: EncoderPlan["outputs"];
  readonly source: SourcePlan;
  readonly timeFirst: TimeFirst;
  /** Ids or one-hot rows. */
  readonly ids: TensorInfo;

  constructor(session: OnnxSession, { inputs, outputs }: EncoderPlan, source: SourcePlan, timeFirst: TimeFirst) {
    this.session = session;
    this.inputs = inputs;
    this.outputs = outputs;
    this.source = source;
    this.timeFirst = timeFirst;
    this.ids = idsOf(session, inputs);
  }

  get batchAxis(): 0 | 1 {
    return this.timeFirst.ids ? 1 : 0;
  }

  get takesTwo(): boolean {
    return typeof this.ids.dims[this.batchAxis] !== "number";
  }

  get vocabSize(): number {
    const depth = this.inputs.onehot === null ? undefined : this.ids.dims.at(-1);
    return typeof depth === "number" ? depth : (this.source.vocabSize ?? 2);
  }

  get fetches(): string[] {
    const { memory, mask, states } = this.outputs;
    return [...new Set([memory, mask, ...states].filter((name) => name !== null))];
  }

  /** One padded run of all these sources. */
  async run(
    sources: readonly (readonly number[])[],
    maskMarks: Batchability["maskMarks"] = "real",
  ): Promise<EncoderRun> {
    const { padId, padTo, padSide } = this.source;
    const usualPadId = this.inputs.onehot === null ? 0 : -1;
    const padded = padSources(sources, padId ?? usualPadId, padTo ?? 0, padSide);
    return { padded, results: await this.session.run(this.#feeds(padded, maskMarks), this.fetches) };
  }

  #feeds({ batch, width, ids, mask, lengths }: PaddedSources, maskMarks: Batchability["maskMarks"]): Feeds {
    const feeds: Record<string, Feeds[string]> = {};
    const feed = (name: string | null, values: Int32Array | Float32Array, dims: number[], isTimeFirst = false) => {
      const info = name === null ? undefined : this.session.input(name);
      if (info === undefined) return;
      const arranged = arrange(values, dims, isTimeFirst);
      feeds[info.name] = integerTensor(info, arranged.values, arranged.dims);
    };
    const { inputs, timeFirst, vocabSize } = this;
    feed(inputs.ids, ids, [batch, width], timeFirst.ids);
    if (inputs.onehot !== null) feed(inputs.onehot, oneHot(ids, vocabSize), [batch, width, vocabSize], timeFirst.ids);
    const marks = maskMarks === "real" ? mask : mask.map((one) => 1 - one);
    feed(inputs.mask, marks, maskDims(this.session.input(inputs.mask ?? ""), batch, width), timeFirst.mask);
    feed(inputs.lengths, lengths, [batch]);
    return feeds;
  }
}

function idsOf(session: OnnxSession, { ids, onehot }: EncoderPlan["inputs"]): TensorInfo {
  const info = session.input(ids ?? onehot ?? "");
  if (info === undefined) throw new Error(`${session.file}: expected encoder.inputs.ids or encoder.inputs.onehot`);
  return info;
}

/** The only width that a graph takes; null: any. */
export function fixedWidth(ids: TensorInfo, isTimeFirst: boolean): number | null {
  const width = ids.dims[isTimeFirst ? 0 : 1];
  return typeof width === "number" ? width : null;
}
