// What the load probe of a manifest model runs: ids that are no padding, lengths that fit, and what is known without running.
import { basename } from "node:path";
import type { EncodeBatching, ProbePlan, StepBatching } from "./batchability.js";
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import type { SourcePlan } from "../../../protocol/plan.js";
import { quantisesPerTensor } from "../../../onnx/read-model.js";

export interface ProbedStep {
  readonly companies: readonly StepBatching[];
  readonly isMasked: boolean;
  /** Why its rows run one by one; null when they need not. */
  readonly whyAlone: string | null;
}

export interface ProbedEncoder {
  /** null: no encoder. */
  readonly companies: readonly EncodeBatching[] | null;
  readonly whyAlone: string | null;
  readonly isMasked: boolean;
  readonly vocabSize: number;
  readonly source: SourcePlan;
}

/** One single graph: its sources wait for the first step. */
export function noEncoder(source: SourcePlan): ProbedEncoder {
  return { companies: null, isMasked: false, whyAlone: null, vocabSize: source.vocabSize ?? 2, source };
}

/** @param files what a failing probe names. */
export function probePlan(files: string, encoder: ProbedEncoder, step: ProbedStep, targetSize: number): ProbePlan {
  const { vocabSize, source } = encoder;
  return {
    files,
    encode: encoder.whyAlone === null ? encoder.companies : [],
    step: step.whyAlone === null ? step.companies : step.isMasked ? ["alonePadded"] : [],
    isMasked: encoder.isMasked || step.isMasked,
    known: [encoder.whyAlone, step.whyAlone].filter((reason) => reason !== null),
    sourceIds: idsBelow(vocabSize).filter((id) => id !== source.padId),
    // 0 is padding more often than not.
    targetIds: idsBelow(targetSize).filter((id) => id !== 0),
    maxLength: source.padTo ?? Infinity,
  };
}

export function whyAlone({ file }: OnnxSession, { name, dims }: TensorInfo, batchAxis: 0 | 1): string | null {
  const size = dims[batchAxis];
  if (typeof size === "number") return `${basename(file)}: "${name}" has a fixed batch of ${size}: one row a run`;
  if (!quantisesPerTensor(file)) return null;
  return `${basename(file)} scales whole tensors when it quantises, so rows would change each other: one row a run`;
}

// The largest is among them: a graph that knows fewer symbols than the vocabulary has is found at load.
function idsBelow(size: number): number[] {
  const first = Array.from({ length: Math.max(Math.min(size, 1000), 2) }, (_, id) => id);
  return size > first.length ? [...first, size - 1] : first;
}
