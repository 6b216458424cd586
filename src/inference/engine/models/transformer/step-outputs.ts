// What a step graph with heads that choose is asked for and what it hands out: the k best of every row, full logits and attention only of rows
// that want them.
import { attentionOutput, attentionRows } from "../../compiler/rewrite/attention-output.js";
import type { RowScores, Wanted } from "../../decoding/search.js";
import { tensor, valueOf, type Feeds, type TensorData, type Value } from "../onnx-session.js";
import { attentionRow } from "../scores.js";

const nothing: RowScores = { kind: "top", ids: new Int32Array(0), logits: new Float32Array(0), logSumExp: Number.NaN };

/** top_k [1], full_rows [R] and want_logsumexp [1] of a run whose rows want these. */
export function chooseFeeds(wanted: readonly Wanted[], vocabSize: number): Feeds {
  const k = wanted.reduce((most, one) => (one.kind === "top" ? Math.max(most, one.k) : most), 1);
  const full = fullRows(wanted);
  return {
    top_k: tensor("int64", BigInt64Array.of(BigInt(Math.min(k, vocabSize))), [1]),
    full_rows: tensor("int64", BigInt64Array.from(full, BigInt), [full.length]),
    want_logsumexp: tensor("bool", Uint8Array.of(Number(wantsLogSumExp(wanted))), [1]),
  };
}

/** Outputs to fetch: what nobody wants is not copied out. */
export function chosenOutputs(wanted: readonly Wanted[]): string[] {
  const names: string[] = [];
  if (wanted.some((one) => one.kind === "top")) names.push("top.values", "top.ids");
  if (wantsLogSumExp(wanted)) names.push("logsumexp");
  if (fullRows(wanted).length > 0) names.push("logits");
  return names;
}

/** Scores by row of the run; views on the run's outputs. */
export function chosenScores(
  results: Readonly<Record<string, Value>>,
  wanted: readonly Wanted[],
): (row: number) => RowScores {
  const full = fullRows(wanted);
  return (row) => {
    const want = wanted[row];
    if (want === undefined || want.kind === "none") return nothing;
    if (want.kind === "full")
      return { kind: "full", logits: slice(valueOf(results, "logits"), full.indexOf(row)) as Float32Array };
    const ids = slice(valueOf(results, "top.ids"), row).subarray(0, want.k) as BigInt64Array;
    return {
      kind: "top",
      ids: Int32Array.from(ids, Number),
      logits: slice(valueOf(results, "top.values"), row).subarray(0, want.k) as Float32Array,
      // Computed for all rows or none; handed only to those that asked, so that an answer never shows what the others of its run wanted.
      logSumExp: want.logSumExp ? (valueOf(results, "logsumexp").data[row] as number) : Number.NaN,
    };
  };
}

/** Row of a [rows, width] tensor. */
function slice({ data, dims }: Value, row: number): TensorData {
  const width = dims[1] ?? 0;
  return data.subarray(row * width, (row + 1) * width);
}

function fullRows(wanted: readonly Wanted[]): number[] {
  return wanted.flatMap((one, row) => (one.kind === "full" ? [row] : []));
}

function wantsLogSumExp(wanted: readonly Wanted[]): boolean {
  return wanted.some((one) => one.kind === "top" && one.logSumExp);
}

/** attention_rows [A] of a run whose rows want these. */
export function attentionFeeds(wanted: readonly Wanted[]): Feeds {
  const rows = attentionRowsOf(wanted);
  return { [attentionRows]: tensor("int64", BigInt64Array.from(rows, BigInt), [rows.length]) };
}

/** Outputs to fetch: none when nobody wants any. */
export function attentionOutputs(wanted: readonly Wanted[]): string[] {
  return attentionRowsOf(wanted).length > 0 ? [attentionOutput] : [];
}

/** Adds to a row's scores its weights over the `length` tokens of its source, where it wanted them. */
export function attentionAdder(results: Readonly<Record<string, Value>>, wanted: readonly Wanted[]) {
  const indexes = new Map(attentionRowsOf(wanted).map((row, index) => [row, index]));
  return (scores: RowScores, row: number, length: number): RowScores => {
    const index = indexes.get(row);
    if (index === undefined) return scores;
    return { ...scores, attention: attentionRow(valueOf(results, attentionOutput), index, { start: 0, length }) };
  };
}

function attentionRowsOf(wanted: readonly Wanted[]): number[] {
  return wanted.flatMap(({ attention }, row) => (attention === true ? [row] : []));
}
