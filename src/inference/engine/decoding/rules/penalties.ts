// Processors that move scores: repetition penalties, sequence bias, the pull towards EOS. Arithmetic is float32, as in torch.
import type { Candidates } from "./candidates.js";
import { canComplete } from "./forbidding.js";
import type { Processor } from "./processor.js";

/** transformers' RepetitionPenaltyLogitsProcessor: above 1 makes ids that are there already less likely. */
export function repetitionPenalty(penalty: number): Processor {
  return {
    reach: (ids) => (penalty > 1 ? new Set(ids).size : Infinity),
    apply: (candidates, ids) => penalise(candidates, new Set(ids), penalty),
  };
}

/**
 * transformers' EncoderRepetitionPenaltyLogitsProcessor: above 1 makes the source's ids more likely. As there, of several beams
 * only the best is penalised: its scatter has one row of source ids, and so reaches one row of scores. Sampled outputs are
 * all penalised; there it is the first alone, but which output is first should not matter.
 */
export function encoderRepetitionPenalty(penalty: number, sourceIds: readonly number[]): Processor {
  const inSource = new Set(sourceIds);
  return {
    reach: () => (penalty < 1 ? inSource.size : Infinity),
    apply: (candidates, _, row) => {
      if (row === 0) penalise(candidates, inSource, 1 / penalty);
    },
  };
}

function penalise(candidates: Candidates, ids: ReadonlySet<number>, penalty: number): void {
  const factor = Math.fround(penalty);
  const { scores } = candidates;
  for (const id of ids) {
    const slot = candidates.slotOf(id);
    const score = scores[slot];
    if (score !== undefined) scores[slot] = score < 0 ? score * factor : score / factor;
  }
}

interface Bias {
  readonly ids: readonly number[];
  readonly bias: number;
}

/** transformers' SequenceBiasLogitsProcessor: adds to the score of the id that would complete a sequence. */
export function sequenceBias(biases: readonly Bias[]): Processor {
  // A list is a dictionary there: of two entries for one sequence the later one counts.
  const byIds = new Map(biases.filter(({ ids }) => ids.length > 0).map((entry) => [entry.ids.join(), entry]));
  const distinct = [...byIds.values()];
  const active = (ids: readonly number[]) => distinct.filter((entry) => canComplete(entry.ids, ids));
  return {
    reach: (ids) => {
      const moved = active(ids);
      return moved.some(({ bias }) => bias > 0) ? Infinity : moved.length;
    },
    apply: (candidates, ids) => addBiases(candidates, active(ids)),
  };
}

function addBiases(candidates: Candidates, biases: readonly Bias[]): void {
  const sums = new Map<number, number>();
  for (const { ids, bias } of biases) {
    const last = ids.at(-1) ?? 0;
    sums.set(last, Math.fround((sums.get(last) ?? 0) + Math.fround(bias)));
  }
  for (const [id, bias] of sums) add(candidates, id, bias);
}

function add(candidates: Candidates, id: number, amount: number): void {
  const slot = candidates.slotOf(id);
  const score = candidates.scores[slot];
  if (score !== undefined) candidates.scores[slot] = score + amount;
}

/**
 * transformers' ExponentialDecayLengthPenalty: past `startLength` decoder ids EOS gains |score| · (factorⁿ − 1).
 * One difference: an EOS that is forbidden stays forbidden; there its score becomes NaN, which argmax takes for the best.
 */
export function exponentialDecay(startLength: number, factor: number, eosTokenIds: readonly number[]): Processor {
  const distinct = [...new Set(eosTokenIds)];
  const isActive = (ids: readonly number[]) => ids.length > startLength;
  return {
    reach: (ids) => (isActive(ids) ? (factor > 1 ? Infinity : distinct.length) : 0),
    apply: (candidates, ids) => {
      if (!isActive(ids)) return;
      const growth = Math.fround(factor ** (ids.length - startLength) - 1);
      for (const id of distinct) {
        const score = candidates.scores[candidates.slotOf(id)] ?? -Infinity;
        if (score !== -Infinity) add(candidates, id, Math.fround(Math.abs(score) * growth));
      }
    },
  };
}
