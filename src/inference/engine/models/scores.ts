// From a run's score tensor to rows of logits: one shape and one meaning for whatever a graph hands out.
import type { RowScores } from "../decoding/search.js";
import { halves } from "../graph/tensor.js";
import type { TensorData, Value } from "./onnx-session.js";

/** [B, T, V] or [B, V] → the last position's V numbers of each row, as views. */
export function lastLogits(scores: Value, rows: number): Float32Array[] {
  const data = floatsIn(scores.data);
  const vocabSize = scores.dims.at(-1) ?? 0;
  const rowSize = data.length / rows;
  return Array.from({ length: rows }, (_, row) => data.subarray((row + 1) * rowSize - vocabSize, (row + 1) * rowSize));
}

// Half precision comes as 16-bit words, or as an array of its own where JavaScript has one.
function floatsIn(data: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  return data instanceof Uint16Array ? halves(data) : Float32Array.from(data, Number);
}

/** Probabilities become log-probabilities once, here; 1e-30 stands for zero. */
export function logInPlace(probabilities: Float32Array): void {
  for (let i = 0; i < probabilities.length; i += 1) {
    probabilities[i] = Math.log(Math.max(probabilities[i] ?? 0, 1e-30));
  }
}

/** [B, T, S], [B, S] or [B, heads, T, S] → the mean over heads of a row's last position, cut to its own source. */
export function attentionRow(attention: Value, row: number, sourceLength: number): Float32Array {
  const data = attention.data as Float32Array;
  const batch = attention.dims[0] ?? 1;
  const width = attention.dims.at(-1) ?? 0;
  const heads = attention.dims.length === 4 ? (attention.dims[1] ?? 1) : 1;
  const perHead = data.length / batch / heads;
  const weights = new Float32Array(sourceLength);
  for (let head = 0; head < heads; head += 1) {
    const end = (row * heads + head + 1) * perHead;
    for (let s = 0; s < sourceLength; s += 1) weights[s] = (weights[s] ?? 0) + (data[end - width + s] ?? 0) / heads;
  }
  return weights;
}

export function fullScores(logits: Float32Array, attention?: Float32Array): RowScores {
  return attention === undefined ? { kind: "full", logits } : { kind: "full", logits, attention };
}
