// Rows of batched tensors. A row's state is a pointer into the batch that some run returned; batches are never written again,
// so forking a row is copying a pointer and releasing it is forgetting one.
//
//   run k returns batch A [a b c]      row b leaves, d joins, a forks      run k+1 is fed gatherRows → [a a c d]
import type { TensorData, Value } from "./onnx-session.js";

/** Where one row's slice of a batched tensor is. */
export interface Slice {
  readonly value: Value;
  /** Position on the batch axis. */
  readonly index: number;
}

/** True when these slices are one whole tensor in its own order: it can be fed as it is. */
export function isWhole(slices: readonly Slice[], batchAxis: number): boolean {
  const whole = slices[0]?.value;
  if (whole === undefined || whole.dims[batchAxis] !== slices.length) return false;
  return slices.every((slice, index) => slice.value === whole && slice.index === index);
}

/** One tensor of these rows; all axes but the batch axis must agree. Returns the original where nothing has to be moved. */
export function gatherRows(slices: readonly Slice[], batchAxis: number): Value {
  const first = slices[0];
  if (first === undefined) throw new Error("gatherRows: no rows");
  if (isWhole(slices, batchAxis)) return first.value;
  return gatherPadded(slices, batchAxis, batchAxis + 1, first.value.dims[batchAxis + 1] ?? 1);
}

/** As gatherRows, with the length axis padded with zeros to `width`. */
export function gatherPadded(slices: readonly Slice[], batchAxis: number, lengthAxis: number, width: number): Value {
  const first = slices[0];
  if (first === undefined) throw new Error("gatherPadded: no rows");
  const dims = [...first.value.dims];
  dims[batchAxis] = slices.length;
  if (lengthAxis < dims.length) dims[lengthAxis] = width;
  const data = emptyLike(first.value.data, product(dims));
  const copy = lengthAxis < batchAxis ? copyLengthFirst : copySlice;
  slices.forEach((slice, row) => copy(slice, data, dims, row, batchAxis, lengthAxis));
  return { data, dims };
}

export function product(dims: readonly number[]): number {
  return dims.reduce((size, dim) => size * dim, 1);
}

// A tensor as [outer, batch, middle, length, inner]: runs of length × inner elements are contiguous on both sides.
function copySlice(
  slice: Slice,
  target: TensorData,
  dims: number[],
  row: number,
  batchAxis: number,
  lengthAxis: number,
) {
  const { dims: from, data } = slice.value;
  const outer = product(dims.slice(0, batchAxis));
  const middle = product(dims.slice(batchAxis + 1, lengthAxis));
  const inner = product(dims.slice(lengthAxis + 1));
  const run = Math.min(from[lengthAxis] ?? 1, dims[lengthAxis] ?? 1) * inner;
  const fromRow = (from[lengthAxis] ?? 1) * inner * middle;
  const toRow = (dims[lengthAxis] ?? 1) * inner * middle;
  for (let block = 0; block < outer; block += 1) {
    const source = (block * (from[batchAxis] ?? 1) + slice.index) * fromRow;
    const destination = (block * (dims[batchAxis] ?? 1) + row) * toRow;
    for (let m = 0; m < middle; m += 1) {
      const start = source + (m * fromRow) / middle;
      target.set(data.subarray(start, start + run) as never, destination + (m * toRow) / middle);
    }
  }
}

// As copySlice where the length comes before the batch, as in [S, B, H].
function copyLengthFirst(
  slice: Slice,
  to: TensorData,
  dims: number[],
  row: number,
  batchAxis: number,
  lengthAxis: number,
) {
  const { dims: from, data } = slice.value;
  const outer = product(dims.slice(0, lengthAxis));
  const middle = product(dims.slice(lengthAxis + 1, batchAxis));
  const inner = product(dims.slice(batchAxis + 1));
  const [fromLength, toLength] = [from[lengthAxis] ?? 1, dims[lengthAxis] ?? 1];
  const positions = Math.min(fromLength, toLength) * middle;
  for (let block = 0; block < outer; block += 1) {
    for (let position = 0; position < positions; position += 1) {
      const start = ((block * fromLength * middle + position) * (from[batchAxis] ?? 1) + slice.index) * inner;
      const destination = ((block * toLength * middle + position) * (dims[batchAxis] ?? 1) + row) * inner;
      to.set(data.subarray(start, start + inner) as never, destination);
    }
  }
}

function emptyLike(data: TensorData, length: number): TensorData {
  const Kind = data.constructor as new (length: number) => TensorData;
  return new Kind(length);
}
