// From a run's score tensor to rows of logits: one shape and one meaning for whatever a graph hands out.
import { basename } from "node:path";
import { floatsOfHalves } from "../../onnx/tensor.js";
import type { RowScores } from "../decoding/search.js";
import { castElements } from "./elements.js";
import type { StepScores } from "./model.js";
import { valueOf, type OnnxSession, type TensorData, type Value } from "./onnx-session.js";

/** What a manifest says of a decoder's scores. */
export interface ScoresKind {
  readonly scores: string;
  readonly scoresAre: "logits" | "logprobs" | "probs";
  readonly attention: string | null;
}

/** One run's scores and attention as numbers. */
export interface ScoredRun {
  readonly scores: Value;
  readonly attention: Value | null;
}

/** Whatever element type the graph has becomes float32; probabilities become log-probabilities. */
export function scoredRun(session: OnnxSession, kind: ScoresKind, results: Readonly<Record<string, Value>>): ScoredRun {
  const read = (name: string): Value => {
    const { data, dims } = valueOf(results, name);
    const type = session.output(name)?.type ?? "float32";
    return { data: castElements(data, type, "float32", `output "${name}"`), dims };
  };
  const scores = read(kind.scores);
  if (kind.scoresAre === "probs") logInPlace(scores.data as Float32Array);
  return { scores, attention: kind.attention === null ? null : read(kind.attention) };
}

/** A row's scores at one target position, the last when absent: [B, T, V] or [B, V]. A view. */
export function logitsAt({ data, dims }: Value, row: number, rows: number, position?: number): Float32Array {
  const vocabSize = dims.at(-1) ?? 0;
  const rowSize = data.length / rows;
  const at = position === undefined ? (row + 1) * rowSize - vocabSize : row * rowSize + position * vocabSize;
  return (data as Float32Array).subarray(at, at + vocabSize);
}

/** [B, T, V] or [B, V] → the last position's V numbers of each row, as views. */
export function lastLogits(scores: Value, rows: number): Float32Array[] {
  const floats = { data: floatsIn(scores.data), dims: scores.dims };
  return Array.from({ length: rows }, (_, row) => logitsAt(floats, row, rows));
}

/** Throws one line when the scores of row 0, at that target position, are not what the manifest says. */
export function requireScoresKind(
  { file }: OnnxSession,
  kind: ScoresKind,
  { scores }: ScoredRun,
  position?: number,
): void {
  if (kind.scoresAre === "logits") return;
  const sum = logitsAt(scores, 0, 1, position).reduce((total, logprob) => total + Math.exp(logprob), 0);
  if (Math.abs(sum - 1) < 0.02) return;
  const expected = `expected probabilities that sum to 1, found a sum of ${sum.toPrecision(3)}`;
  throw new Error(`${file}: decoder.outputs.scores "${kind.scores}": scoresAre ${kind.scoresAre}: ${expected}`);
}

// Half precision comes as 16-bit words, or as an array of its own where JavaScript has one.
function floatsIn(data: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  return data instanceof Uint16Array ? floatsOfHalves(data) : Float32Array.from(data, Number);
}

/** Probabilities become log-probabilities once, here; 1e-30 stands for zero. */
function logInPlace(probabilities: Float32Array): void {
  for (let i = 0; i < probabilities.length; i += 1) {
    probabilities[i] = Math.log(Math.max(probabilities[i] ?? 0, 1e-30));
  }
}

/** Where a row's own source stands in a padded one. */
export interface SourceSpan {
  readonly start: number;
  readonly length: number;
}

/** [B, T, S], [B, S] or [B, heads, T, S] → the mean over heads of one target position (the last when absent), cut to the row's own source. */
export function attentionRow(attention: Value, row: number, span: SourceSpan, position?: number): Float32Array {
  const { dims } = attention;
  const data = attention.data as Float32Array;
  const width = dims.at(-1) ?? 0;
  const heads = dims.length === 4 ? (dims[1] ?? 1) : 1;
  const perHead = data.length / (dims[0] ?? 1) / heads;
  const at = (position ?? perHead / width - 1) * width + span.start;
  const weights = new Float32Array(span.length);
  for (let head = 0; head < heads; head += 1) {
    const first = (row * heads + head) * perHead + at;
    for (let s = 0; s < span.length; s += 1) weights[s] = (weights[s] ?? 0) + (data[first + s] ?? 0) / heads;
  }
  return weights;
}

/** null when attention is over the source's tokens; else why it cannot be handed out. */
export function attentionFault(session: OnnxSession, kind: ScoresKind, run: ScoredRun, tokens: number): string | null {
  const positions = run.attention?.dims.at(-1) ?? tokens;
  if (positions === tokens) return null;
  const found = `"${kind.attention}" weighs ${positions} positions for a source of ${tokens} tokens`;
  return `${basename(session.file)}: ${found}: no attention is handed out`;
}

export function fullScores(logits: Float32Array, attention?: Float32Array): RowScores {
  return attention === undefined ? { kind: "full", logits } : { kind: "full", logits, attention };
}

/** What a step hands out when its rows ran in groups: each row's scores at its own index. */
export function scoresByRow(scores: readonly RowScores[]): StepScores {
  return {
    row: (index) => {
      const own = scores[index];
      if (own === undefined) throw new Error(`no row ${index} in a step of ${scores.length}`);
      return own;
    },
  };
}
