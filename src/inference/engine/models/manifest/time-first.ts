// Whether a graph wants its tokens as [B, S] or as [S, B] (PyTorch without batch_first=True). The manifest may say so, or the graph's own sizes and
// names; else the first order in which two rows run, and behave as rows, is the right one.
import type { TensorData, TensorInfo, Value } from "../onnx-session.js";

/** True: the time axis is the first. */
export interface TimeFirst {
  readonly ids: boolean;
  readonly mask: boolean;
}

export const batchFirst: TimeFirst = { ids: false, mask: false };

/**
 * null when the graph doesn't tell.
 * @param kin tensors that have a batch but not the time of these tokens: a name that they share with one of the axes is the batch's.
 * @param one what a fixed size of 1 stands for.
 */
export function declaredTimeFirst(
  tokens: TensorInfo | undefined,
  kin: readonly (TensorInfo | undefined)[],
  one: "time" | "batch",
): boolean | null {
  const [first = "", second = ""] = tokens?.dims ?? [];
  if (tokens === undefined || tokens.dims.length < 2) return false;
  const [inFirst, inSecond] = [isShared(first, kin), isShared(second, kin)];
  if (inFirst !== inSecond) return inSecond;
  if ((first === 1) === (second === 1)) return null;
  return (first === 1) === (one === "time");
}

function isShared(dim: number | string, kin: readonly (TensorInfo | undefined)[]): boolean {
  return typeof dim === "string" && dim !== "" && kin.some((info) => info?.dims.includes(dim) === true);
}

/** Orders to try, the likeliest first. A mask without a name in common may stand either way. */
export function possibleOrders(ids: boolean | null, tokens: TensorInfo, mask: TensorInfo | undefined): TimeFirst[] {
  const orders = ids === null ? [false, true] : [ids];
  return orders.flatMap((order) => maskOrders(order, tokens, mask).map((own) => ({ ids: order, mask: own })));
}

function maskOrders(ids: boolean, tokens: TensorInfo, mask: TensorInfo | undefined): boolean[] {
  if (mask === undefined || mask.dims.length !== 2) return [false];
  const batchAxis = [0, 1].find((axis) => typeof mask.dims[axis] === "string" && mask.dims[axis] === tokens.dims[0]);
  if (batchAxis !== undefined && mask.dims[0] !== mask.dims[1]) return [batchAxis === 0 ? ids : !ids];
  if ((mask.dims[0] === 1) !== (mask.dims[1] === 1)) return [mask.dims[1] === 1];
  // PyTorch's key_padding_mask is [B, S] wherever the batch of the ids is.
  return [false, true];
}

/** [rows, width, …] numbers as the graph wants them. */
export function arrange<T extends Int32Array | Float32Array>(
  values: T,
  dims: readonly number[],
  isTimeFirst: boolean,
): { values: T; dims: readonly number[] } {
  if (!isTimeFirst) return { values, dims };
  const [rows = 1, width = 1, ...inner] = dims;
  return { values: swapFirstAxes(values, rows, width), dims: [width, rows, ...inner] };
}

/** [T, B, …] → [B, T, …] */
export function rowsFirst({ data, dims: [width = 1, rows = 1, ...inner] }: Value): Value {
  return { data: swapFirstAxes(data, width, rows), dims: [rows, width, ...inner] };
}

function swapFirstAxes<T extends TensorData>(values: T, rows: number, width: number): T {
  const result = values.slice() as T;
  const size = values.length / (rows * width);
  for (let row = 0; row < rows; row += 1) {
    for (let at = 0; at < width; at += 1) {
      const from = (row * width + at) * size;
      result.set(values.subarray(from, from + size) as never, (at * rows + row) * size);
    }
  }
  return result;
}

/** The first order that `runs` in; null when none does. */
export async function firstOrder(
  orders: readonly TimeFirst[],
  runs: (order: TimeFirst) => Promise<boolean>,
): Promise<TimeFirst | null> {
  for (const order of orders) if (await runs(order).catch(() => false)) return order;
  return null;
}
