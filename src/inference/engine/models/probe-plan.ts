// What the load probe of a manifest model runs: ids that are no padding, lengths that fit.
import type { EncodeCompany, ProbePlan, StepCompany } from "./company.js";
import type { SourcePlan } from "./plan.js";

interface ProbedEncoder {
  readonly vocabSize: number;
  readonly source: SourcePlan;
}

export function probePlan(
  encode: readonly EncodeCompany[],
  step: readonly StepCompany[],
  { vocabSize, source }: ProbedEncoder,
  targetSize: number,
): ProbePlan {
  return {
    encode,
    step,
    sourceIds: idsBelow(vocabSize).filter((id) => id !== source.padId),
    // 0 is padding more often than not.
    targetIds: idsBelow(targetSize).filter((id) => id !== 0),
    maxLength: source.padTo ?? Infinity,
  };
}

function idsBelow(size: number): number[] {
  return Array.from({ length: Math.max(Math.min(size, 1000), 2) }, (_, id) => id);
}
