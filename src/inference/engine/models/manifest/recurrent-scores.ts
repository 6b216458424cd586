// From a recurrent run to one row's scores: its logits, and its attention over its own source.
import type { RowScores } from "../../decoding/search.js";
import type { Value } from "../onnx-session.js";
import { attentionRow, fullScores, logitsAt, type ScoredRun } from "./scores.js";
import type { EncodedSource } from "./source-encoder.js";

export function scoresOf(
  run: ScoredRun,
  rows: readonly { readonly memory: EncodedSource }[],
  index: number,
): RowScores {
  const logits = logitsAt(run.scores, index, rows.length);
  const memory = rows[index]?.memory;
  if (run.attention === null || memory === undefined) return fullScores(logits);
  return fullScores(
    logits,
    attentionRow(ofRows(run.attention, rows.length), index, { start: memory.start, length: memory.sourceLength }),
  );
}

/** [1, B, S], where tokens are [1, B], is [B, 1, S]. */
function ofRows({ data, dims }: Value, rows: number): Value {
  const [first, second, ...rest] = dims;
  return first === 1 && second === rows && rest.length === 1 ? { data, dims: [rows, 1, ...rest] } : { data, dims };
}
