// Attention of the rows that want it, beside a step's scores: which rows a compiled transformer is asked for, and each one's part of the answer.
import type { RowScores, Wanted } from "../../decoding/search.js";
import { attentionOutput, attentionRows } from "../../compiler/rewrite/attention-output.js";
import { tensor, valueOf, type Feeds, type Value } from "../onnx-session.js";
import { attentionRow } from "../manifest/scores.js";

/** attention_rows [A] of a run whose rows want these. */
export function attentionFeeds(wanted: readonly Wanted[]): Feeds {
  const rows = rowsOf(wanted);
  return { [attentionRows]: tensor("int64", BigInt64Array.from(rows, BigInt), [rows.length]) };
}

/** Outputs to fetch: none when nobody wants any. */
export function attentionOutputs(wanted: readonly Wanted[]): string[] {
  return rowsOf(wanted).length > 0 ? [attentionOutput] : [];
}

/** Adds to a row's scores its weights over the `length` tokens of its source, where it wanted them. */
export function attentionAdder(results: Readonly<Record<string, Value>>, wanted: readonly Wanted[]) {
  const places = new Map(rowsOf(wanted).map((row, place) => [row, place]));
  return (scores: RowScores, row: number, length: number): RowScores => {
    const place = places.get(row);
    if (place === undefined) return scores;
    return { ...scores, attention: attentionRow(valueOf(results, attentionOutput), place, { start: 0, length }) };
  };
}

function rowsOf(wanted: readonly Wanted[]): number[] {
  return wanted.flatMap(({ attention }, row) => (attention === true ? [row] : []));
}
