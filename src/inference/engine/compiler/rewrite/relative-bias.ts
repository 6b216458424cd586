// self_bias of a step: what the host adds to the scores of each row. For T5's family that is also where positions come from:
// a table [buckets, heads] looked up by distance, which the stock graph computes once for all rows and a moving batch needs per row.
import type { NodeProto } from "onnx-buf";
import { ancestors } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dimsOf, floatsOf } from "../../../onnx/tensor.js";

export interface RelativeBias {
  /** [buckets, heads], row after row. */
  readonly table: Float32Array<ArrayBuffer>;
  readonly buckets: number;
  readonly heads: number;
  readonly maxDistance: number;
  /** A decoder looks back only. */
  readonly bidirectional: false;
}

/** Masks a column: large enough to vanish in Softmax, finite so that no row turns to NaN. */
export const masked = -1e30;

/**
 * Reads the table from the graph before it is pruned; `bias` is the value that was added to the scores of the first layer.
 * undefined: that value is a plain mask. `configuredDistance` serves where the graph holds no constant for it.
 */
export function findRelativeBias(view: GraphView, bias: string, configuredDistance = 128): RelativeBias | undefined {
  const lookup = ancestors(view, bias).find((maker) => maker.opType === "Gather" && isBiasTable(view, maker));
  if (lookup === undefined) return undefined;
  const tensor = view.constant(lookup.input[0] ?? "");
  if (tensor === undefined) return undefined;
  const [buckets = 0, heads = 0] = dimsOf(tensor);
  const bucketNodes = ancestors(view, lookup.input[1] ?? "", (maker) => maker.opType === "Shape");
  if (bucketNodes.some((maker) => maker.opType === "Abs")) {
    throw new PatternMissing("the relative bias of the decoder looks both ways", lookup.name);
  }
  const maxDistance = readMaxDistance(view, bucketNodes, buckets) ?? configuredDistance;
  return { table: Float32Array.from(floatsOf(tensor)), buckets, heads, maxDistance, bidirectional: false };
}

// The table's index is computed, with a logarithm for far distances; other constant tables are looked up by ids or shapes.
function isBiasTable(view: GraphView, lookup: NodeProto): boolean {
  const table = view.constant(lookup.input[0] ?? "");
  if (table === undefined || table.dims.length !== 2) return false;
  return ancestors(view, lookup.input[1] ?? "").some((maker) => maker.opType === "Log");
}

// Log ─▶ Div by log(maxDistance / exact), where half of the buckets are exact.
function readMaxDistance(view: GraphView, makers: readonly NodeProto[], buckets: number): number | undefined {
  const log = makers.find((maker) => maker.opType === "Log");
  const ratio = view.readers(log?.output[0] ?? "").find((reader) => reader.opType === "Div");
  const logRatio = view.scalar(ratio?.input[1] ?? "");
  return logRatio === undefined ? undefined : Math.round((buckets / 2) * Math.exp(logRatio));
}

/** Bucket of a distance >= 0 back in time; T5's `_relative_position_bucket` with bidirectional=False, in single precision as there. */
export function bucketOf(distance: number, buckets: number, maxDistance: number): number {
  const exact = Math.floor(buckets / 2);
  if (distance < exact) return distance;
  const far = Math.fround(Math.log(Math.fround(distance / exact)));
  const scaled = Math.fround(Math.fround(far / Math.fround(Math.log(maxDistance / exact))) * (buckets - exact));
  return Math.min(exact + Math.trunc(scaled), buckets - 1);
}

/** Fills self_bias of one width; make one per model and keep it. */
export interface SelfBias {
  /** Second dimension of self_bias: heads with relative positions, else 1. */
  readonly heads: number;
  /**
   * Writes [B, heads, 1, width + 1] to the front of `out`: column j < age belongs to the row's j-th id, columns up to width are masked,
   * the last column is the id being consumed. Ages must not be above width.
   */
  fill(ages: ArrayLike<number>, width: number, out: Float32Array): void;
}

export function maskOnly(): SelfBias {
  return {
    heads: 1,
    fill(ages, width, out) {
      for (let row = 0; row < ages.length; row++) {
        const start = row * (width + 1);
        out.fill(0, start, start + (ages[row] ?? 0));
        out.fill(masked, start + (ages[row] ?? 0), start + width);
        out[start + width] = 0;
      }
    },
  };
}

export function relativeBias(rule: RelativeBias): SelfBias {
  let farFirst = biasByDistance(rule, 64);
  return {
    heads: rule.heads,
    fill(ages, width, out) {
      const reach = (farFirst[0]?.length ?? 1) - 1;
      if (width > reach) farFirst = biasByDistance(rule, Math.max(width, 2 * reach));
      for (let row = 0; row < ages.length; row++) fillRow(farFirst, ages[row] ?? 0, row, width, out);
    },
  };
}

// Per head, distances in falling order: a row's columns are then one run of it, whatever its age.
function biasByDistance(rule: RelativeBias, reach: number): Float32Array[] {
  return Array.from({ length: rule.heads }, (_, head) =>
    Float32Array.from({ length: reach + 1 }, (_unused, index) => {
      const bucket = bucketOf(reach - index, rule.buckets, rule.maxDistance);
      return rule.table[bucket * rule.heads + head] ?? 0;
    }),
  );
}

function fillRow(farFirst: readonly Float32Array[], age: number, row: number, width: number, out: Float32Array): void {
  for (const [head, biases] of farFirst.entries()) {
    const start = (row * farFirst.length + head) * (width + 1);
    const own = biases.length - 1;
    out.set(biases.subarray(own - age, own), start);
    out.fill(masked, start + age, start + width);
    out[start + width] = biases[own] ?? 0;
  }
}
