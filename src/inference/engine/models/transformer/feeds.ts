// Parts of a compiled transformer's feeds: columns of ids, views of caches, what belongs to rows in the order of their slots.
import { cacheNames, type Description } from "../../compiler/description.js";
import type { SelfBias } from "../../compiler/rewrite/relative-bias.js";
import { tensor, type Feeds } from "../onnx-session.js";
import { product } from "../rows.js";
import type { CacheSide, CacheTensor } from "./kv-cache.js";

export function column(values: readonly number[]): Feeds[string] {
  return tensor("int64", BigInt64Array.from(values, BigInt), [values.length, 1]);
}

export function cacheFeeds(side: CacheSide, count: number): Feeds {
  const feeds = side.tensors.map(({ name, heads, headDim }, k) => {
    return [name, tensor("float32", side.view(k, count), [count, heads, side.width, headDim])] as const;
  });
  return Object.fromEntries(feeds);
}

export function cacheTensors(kind: "past" | "cross", { layers, heads, headDim }: Description): CacheTensor[] {
  return cacheNames(layers).map((name) => ({ name: `${kind}.${name}`, heads, headDim }));
}

/** values[i] belongs to rows[i]; slots have no gaps. */
export function bySlot<T>(rows: readonly { readonly slot: number }[], values: readonly T[]): T[] {
  const sorted: T[] = [];
  rows.forEach(({ slot }, index) => (sorted[slot] = values[index] as T));
  return sorted;
}

/** self_bias of one step. */
export function biasFeed(ages: readonly number[], width: number, bias: SelfBias): Feeds[string] {
  const dims = [ages.length, bias.heads, 1, width + 1];
  const data = new Float32Array(product(dims));
  bias.fill(ages, width, data);
  return tensor("float32", data, dims);
}
