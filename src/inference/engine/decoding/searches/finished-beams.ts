// The finished side of a beam search: the best complete hypotheses, their scores, and when more of them can no longer matter.
import type { Decoding, FinishReason } from "../../../protocol/engine-protocol.js";
import { penalisedScore } from "../../../protocol/scores.js";
import type { Hypothesis } from "./hypothesis.js";

export interface Finished {
  readonly hypothesis: Hypothesis;
  /** Length-penalised sum, float32: transformers' sequences_scores. */
  readonly score: number;
  readonly finishReason: FinishReason;
}

/** The best `numBeams` complete hypotheses, best first, older first among equals (transformers' _update_finished_beams). */
export class FinishedBeams {
  readonly #decoding: Decoding;
  readonly #mayRaise: boolean;
  readonly #maxTokens: number;
  #best: readonly Finished[] = [];

  /** `mayRaise`: sums may grow, because processors can lift a log-probability above zero. */
  constructor(decoding: Decoding, mayRaise: boolean) {
    this.#decoding = decoding;
    this.#mayRaise = mayRaise;
    this.#maxTokens = decoding.maxLength - decoding.prefix.length;
  }

  get best(): readonly Finished[] {
    return this.#best;
  }

  add(hypothesis: Hypothesis, finishReason: FinishReason): void {
    const score = penalisedScore(hypothesis.sum, hypothesis.length, this.#decoding.lengthPenalty);
    const at = this.#best.findIndex((other) => other.score < score);
    const best = this.#best.toSpliced(at < 0 ? this.#best.length : at, 0, { hypothesis, score, finishReason });
    this.#best = best.slice(0, this.#decoding.numBeams);
  }

  /** transformers' _check_early_stop_heuristic and early_stopping: whether to end with these. `best` leads the live ones. */
  isEnough(best: Hypothesis): boolean {
    const { numBeams, earlyStopping, lengthPenalty } = this.#decoding;
    const worst = this.#best.at(-1);
    if (this.#best.length < numBeams || worst === undefined) return false;
    if (earlyStopping === true) return true;
    const length = earlyStopping === "never" && lengthPenalty > 0 ? this.#maxTokens : best.length;
    return penalisedScore(best.sum, length, lengthPenalty) <= worst.score;
  }

  /**
   * Whether a live hypothesis could still come to lead, or nothing leads yet. Its sum only falls; what it will be divided by is known within bounds:
   * at best the longest length for a positive penalty, the next one otherwise.
   */
  mayLoseTo(live: Hypothesis): boolean {
    const leader = this.#best[0];
    if (leader === undefined || this.#mayRaise) return true;
    const { lengthPenalty } = this.#decoding;
    const length = lengthPenalty > 0 ? this.#maxTokens : live.length + 1;
    return penalisedScore(live.sum, length, lengthPenalty) > leader.score;
  }
}
