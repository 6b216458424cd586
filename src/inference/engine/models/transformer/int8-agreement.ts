// Load probe: measures what int8 costs, as the share of greedy tokens on which a model agrees with a reference. Both are fed the reference's own tokens.
import type { Agreement } from "../../../protocol/facts.js";
import type { Wanted } from "../../decoding/search.js";
import type { Row, Seq2SeqModel } from "../model.js";

export interface AgreementOptions {
  readonly sources: readonly (readonly number[])[];
  /** The decoder's first input. */
  readonly startId: number;
  readonly eosIds: readonly number[];
  /** Longest output looked at. */
  readonly maxTokens: number;
}

const best: Wanted = { kind: "top", k: 1, logSumExp: false };

/** Teacher-forced: a first difference does not make all that follows differ. Both models must be idle. */
export async function greedyAgreement(
  reference: Seq2SeqModel,
  candidate: Seq2SeqModel,
  options: AgreementOptions,
): Promise<Agreement> {
  const total = { tokens: 0, same: 0 };
  for (const source of options.sources) {
    const [own, other] = [await openRow(reference, source), await openRow(candidate, source)];
    let token = options.startId;
    for (let position = 0; position < options.maxTokens; position += 1) {
      const expected = await bestNext(reference, own, token);
      total.same += Number((await bestNext(candidate, other, token)) === expected);
      total.tokens += 1;
      token = expected;
      if (options.eosIds.includes(token)) break;
    }
    reference.release([own]);
    candidate.release([other]);
  }
  return total;
}

async function openRow(model: Seq2SeqModel, source: readonly number[]): Promise<Row> {
  const [memory] = await model.encode([source]);
  if (memory === undefined) throw new Error("the encoder left no memory");
  return model.open(memory);
}

async function bestNext(model: Seq2SeqModel, row: Row, token: number): Promise<number> {
  row.token = token;
  const scores = (await model.step([row], [best])).row(0);
  if (scores.kind === "top") return scores.ids[0] ?? -1;
  return scores.logits.reduce((winner, logit, id) => (logit > (scores.logits[winner] ?? -Infinity) ? id : winner), 0);
}
