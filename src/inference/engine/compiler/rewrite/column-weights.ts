// One weight matrix to int8, symmetric, one scale per column. Runs once per model; the result goes to the cache.
import type { TensorProto } from "onnx-buf";
import { dimsOf, floatsOf } from "../../../onnx/tensor.js";

export interface ColumnWeights {
  /** [K,N], row after row, whatever the order of the source. */
  readonly values: Int8Array<ArrayBuffer>;
  /** One per column: weight = value · scale. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** `transposed`: the tensor is [N,K] and its transpose is meant. `limit`: largest magnitude of a value. */
export function quantiseColumns(tensor: TensorProto, transposed: boolean, limit: number): ColumnWeights {
  const [rows = 0, columns = 0] = dimsOf(tensor);
  const weights = floatsOf(tensor);
  return transposed ? fromColumns(weights, columns, rows, limit) : fromRows(weights, rows, columns, limit);
}

/** Several matrices of one depth as one, side by side. */
export function concatColumns(parts: readonly ColumnWeights[]): ColumnWeights {
  const columns = parts.reduce((sum, part) => sum + part.scales.length, 0);
  const depth = (parts[0]?.values.length ?? 0) / (parts[0]?.scales.length ?? 1);
  const [values, scales] = [new Int8Array(depth * columns), new Float32Array(columns)];
  let start = 0;
  for (const part of parts) {
    const width = part.scales.length;
    scales.set(part.scales, start);
    for (let row = 0; row < depth; row++)
      values.set(part.values.subarray(row * width, (row + 1) * width), row * columns + start);
    start += width;
  }
  return { values, scales };
}

function fromRows(weights: Float32Array, depth: number, columns: number, limit: number): ColumnWeights {
  const largest = new Float32Array(columns);
  for (let index = 0, row = 0; row < depth; row++) {
    for (let column = 0; column < columns; column++, index++) {
      const size = Math.abs(weights[index] as number);
      if (size > (largest[column] as number)) largest[column] = size;
    }
  }
  const { scales, inverse } = scalesOf(largest, limit);
  const values = new Int8Array(weights.length);
  for (let index = 0, row = 0; row < depth; row++) {
    for (let column = 0; column < columns; column++, index++) {
      values[index] = Math.round((weights[index] as number) * (inverse[column] as number));
    }
  }
  return { values, scales };
}

// In blocks of columns, so that the scattered writes of a block stay in the cache of the processor.
function fromColumns(weights: Float32Array, depth: number, columns: number, limit: number): ColumnWeights {
  const largest = new Float32Array(columns);
  for (let column = 0; column < columns; column++) largest[column] = largestOf(weights, column * depth, depth);
  const { scales, inverse } = scalesOf(largest, limit);
  const values = new Int8Array(weights.length);
  const block = 64;
  for (let start = 0; start < columns; start += block) {
    const end = Math.min(start + block, columns);
    for (let row = 0; row < depth; row++) {
      for (let column = start; column < end; column++) {
        values[row * columns + column] = Math.round(
          (weights[column * depth + row] as number) * (inverse[column] as number),
        );
      }
    }
  }
  return { values, scales };
}

function largestOf(weights: Float32Array, start: number, count: number): number {
  let largest = 0;
  for (let index = start; index < start + count; index++) {
    const size = Math.abs(weights[index] as number);
    if (size > largest) largest = size;
  }
  return largest;
}

// A column of zeros gets scale 1: its values are 0 whatever the scale.
function scalesOf(largest: Float32Array, limit: number): { scales: Float32Array<ArrayBuffer>; inverse: Float64Array } {
  const scales = Float32Array.from(largest, (size) => (size === 0 ? 1 : size / limit));
  return { scales, inverse: Float64Array.from(largest, (size) => (size === 0 ? 0 : limit / size)) };
}
