// Feeds of a step graph for rows of any age, packed the plain way. The self-check and the tests use it; the engine keeps its caches packed instead.
import { cacheNames, type Description } from "../description.js";
import { attentionRows } from "../rewrite/attention-output.js";
import { positionIds, positionOf } from "../rewrite/positions.js";
import { maskOnly, relativeBias, type SelfBias } from "../rewrite/relative-bias.js";
import { selfBias } from "../rewrite/two-part-attention.js";

export interface PlainTensor {
  readonly type: "float32" | "int64" | "bool";
  readonly data: Float32Array | BigInt64Array | Uint8Array;
  readonly dims: readonly number[];
}

export type Feeds = Record<string, PlainTensor>;

/** One row between steps. */
export interface CachedRow {
  /** cross.i.key and cross.i.value in the order of `cacheNames`, each [H, source, D]. */
  readonly cross: readonly Float32Array[];
  readonly source: number;
  /** past.i.key and past.i.value likewise, each [H, age, D]. */
  readonly past: readonly Float32Array[];
  readonly age: number;
}

/** Padded sizes of a run; columns beyond a row's own are filled with `filler` and masked. */
export interface Widths {
  readonly past: number;
  readonly source: number;
  readonly filler?: number;
}

export function selfBiasOf(description: Description): SelfBias {
  return description.relativeBias === undefined ? maskOnly() : relativeBias(description.relativeBias);
}

/** ids[i] is what rows[i] consumes. Asks for the attention of every row, and for full logits where the graph has heads that choose. */
export function stepFeeds(
  description: Description,
  rows: readonly CachedRow[],
  ids: readonly number[],
  widths: Widths,
): Feeds {
  const { layers } = description;
  const feeds: Feeds = {
    input_ids: integers(ids, [rows.length, 1]),
    encoder_attention_mask: attentionMask(
      rows.map((row) => row.source),
      widths.source,
    ),
    [selfBias]: biasFeed(description, rows, widths.past),
    top_k: integers([1], [1]),
    full_rows: everyRow(rows),
    [attentionRows]: everyRow(rows),
    want_logsumexp: { type: "bool", data: Uint8Array.of(0), dims: [1] },
  };
  const rule = description.positions;
  if (rule !== undefined) {
    feeds[positionIds] = integers(
      rows.map((row, index) => positionOf(rule, row.age, ids[index] ?? 0)),
      [rows.length, 1],
    );
  }
  for (const [index, name] of cacheNames(layers).entries()) {
    feeds[`past.${name}`] = pack(
      description,
      rows.map((row) => row.past[index]),
      widths.past,
      widths.filler,
    );
    feeds[`cross.${name}`] = pack(
      description,
      rows.map((row) => row.cross[index]),
      widths.source,
      widths.filler,
    );
  }
  return feeds;
}

function everyRow({ length }: readonly CachedRow[]): PlainTensor {
  return integers(
    Array.from({ length }, (_, index) => index),
    [length],
  );
}

export function integers(values: readonly number[], dims: readonly number[]): PlainTensor {
  return { type: "int64", data: BigInt64Array.from(values, BigInt), dims };
}

/** 1 where a source has an id. */
export function attentionMask(lengths: readonly number[], width: number): PlainTensor {
  const cells = lengths.flatMap((length) => Array.from({ length: width }, (_, index) => (index < length ? 1 : 0)));
  return integers(cells, [lengths.length, width]);
}

function biasFeed(description: Description, rows: readonly CachedRow[], width: number): PlainTensor {
  const bias = selfBiasOf(description);
  const data = new Float32Array(rows.length * bias.heads * (width + 1));
  bias.fill(
    rows.map((row) => row.age),
    width,
    data,
  );
  return { type: "float32", data, dims: [rows.length, bias.heads, 1, width + 1] };
}

function pack(
  description: Description,
  parts: readonly (Float32Array | undefined)[],
  width: number,
  filler = 0,
): PlainTensor {
  const { heads, headDim } = description;
  const data = new Float32Array(parts.length * heads * width * headDim).fill(filler);
  for (const [row, part] of parts.entries()) {
    const length = (part?.length ?? 0) / heads;
    for (let head = 0; head < heads; head++) {
      const own = part?.subarray(head * length, (head + 1) * length) ?? [];
      data.set(own, (row * heads + head) * width * headDim);
    }
  }
  return { type: "float32", data, dims: [parts.length, heads, width, headDim] };
}

/** The row after a step: `fresh` holds new.* of the whole run, each [B,H,1,D]. */
export function appendStep(
  description: Description,
  row: CachedRow,
  fresh: readonly Float32Array[],
  index: number,
): CachedRow {
  const { heads, headDim } = description;
  const past = row.past.map((before, part) => {
    const after = new Float32Array(heads * (row.age + 1) * headDim);
    for (let head = 0; head < heads; head++) {
      const old = before.subarray(head * row.age * headDim, (head + 1) * row.age * headDim);
      const from = (index * heads + head) * headDim;
      after.set(old, head * (row.age + 1) * headDim);
      after.set(fresh[part]?.subarray(from, from + headDim) ?? [], (head * (row.age + 1) + row.age) * headDim);
    }
    return after;
  });
  return { ...row, past, age: row.age + 1 };
}

/** Row `index` of encode's outputs, cut to its own source length. */
export function cutRow(
  description: Description,
  cross: readonly PlainTensor[],
  index: number,
  source: number,
): CachedRow {
  const { heads, headDim } = description;
  const cut = cross.map((tensor) => {
    const width = tensor.dims[2] ?? 0;
    const own = new Float32Array(heads * source * headDim);
    for (let head = 0; head < heads; head++) {
      const start = (index * heads + head) * width * headDim;
      own.set((tensor.data as Float32Array).subarray(start, start + source * headDim), head * source * headDim);
    }
    return own;
  });
  return { cross: cut, source, past: cut.map(() => new Float32Array(0)), age: 0 };
}
