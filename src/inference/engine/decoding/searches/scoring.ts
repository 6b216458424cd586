// Scoring: nothing is chosen, each id of a given output gets its log-probability, entropy and alternatives. For POST /explain.
//
//   scores of a step ─▶ what the model gave the next given id ─▶ that id is fed ─▶ … ─▶ the output is complete
import type { Decoding, EngineOutput, EngineToken, FinishReason } from "../../../protocol/engine-protocol.js";
import { meanLogprob } from "../../../protocol/scores.js";
import { softmax } from "../rules/mass.js";
import type { Advance, RowScores, Search, Wanted } from "../search.js";
import type { Reporting } from "./need.js";
import { StepRow } from "./step-row.js";

const everything: Wanted = { kind: "full" };

export class ScoringSearch implements Search {
  readonly maxRows = 1;
  readonly wanted = everything;
  readonly #given: readonly number[];
  readonly #decoding: Decoding;
  readonly #topN: number;
  readonly #tokens: EngineToken[] = [];

  /** `given` are the ids after the prefix, at least one. Rules of `decoding` change nothing: scores are the model's own. */
  constructor(decoding: Decoding, { topN }: Reporting, given: readonly number[]) {
    this.#decoding = decoding;
    this.#topN = topN;
    this.#given = given;
  }

  get lastTokens(): readonly number[] {
    return [this.#tokens.at(-1)?.id ?? this.#decoding.prefix.at(-1) ?? 0];
  }

  advance([scores]: readonly RowScores[]): Advance {
    const id = this.#given[this.#tokens.length];
    if (id === undefined) throw new Error("all given ids have been scored");
    const row = new StepRow(scores, everything, true, this.#topN);
    const entropy = this.#topN > 0 ? { entropy: entropyOf(row.raw.logits) } : {};
    const token = { ...row.token(id, null), ...entropy };
    this.#tokens.push(token);
    const isComplete = this.#tokens.length === this.#given.length;
    const reason = this.#decoding.eosTokenIds.includes(id) ? "eos_token" : "length";
    return {
      parents: isComplete ? [] : null,
      committed: [{ output: 0, token }],
      outputs: isComplete ? this.stop(reason) : null,
    };
  }

  stop(finishReason: FinishReason): readonly EngineOutput[] {
    return [{ tokens: this.#tokens, score: meanLogprob(this.#tokens), finishReason }];
  }
}

/** Of the distribution that these logits stand for, in nats. */
export function entropyOf(logits: Float32Array): number {
  let sum = 0;
  for (const probability of softmax(logits)) if (probability > 0) sum -= probability * Math.log(probability);
  // Not -0, nor below by rounding.
  return Math.max(0, sum);
}
