// Which source tokens a decoder step looked at: the cross-attention of one layer, mean over heads, as one more output of the step graph.
// Computed only for the rows that a run names; for none these nodes work on nothing.
//
//   cross.L.key ─▶ Transpose ─▶ q· ─▶ + mask ─▶ Softmax [B,H,1,S] ─┬▶ ·cross.L.value, as before
//                                                                  └▶ Gather(attention_rows) ─▶ [Gather(heads)] ─▶ mean ─▶ attention [A,S]
import type { NodeProto } from "onnx-buf";
import { readerOf } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { outputOf, valueInfo } from "../../../onnx/node.js";
import { integersConstant } from "../../../onnx/operators.js";
import { dataType } from "../../../onnx/tensor.js";
import type { Alignment, WantedAlignment } from "../../../protocol/plan.js";
import type { CacheShape } from "./two-part-attention.js";

/** Input: rows of the run whose attention is wanted, int64 [A], may be empty. */
export const attentionRows = "attention_rows";
/** Output: [A, S] float32. */
export const attentionOutput = "attention";
// Lower layers look around, the last ones at what they are about to write: two thirds up (the fifth of six) align best.
function usualLayer(layers: number): number {
  return Math.ceil((2 * (layers - 1)) / 3);
}

export function alignmentOf({ layers, heads }: CacheShape, wanted?: WantedAlignment): Alignment {
  const layer = wanted?.layer ?? usualLayer(layers);
  return { layer, heads: wanted?.heads ?? Array.from({ length: heads }, (_, head) => head) };
}

/** Call on a step graph whose caches are renamed. False, and nothing is changed, where that layer's Softmax cannot be found. */
export function handOutAttention(view: GraphView, shape: CacheShape, { layer, heads }: Alignment): boolean {
  const softmax = crossSoftmax(view, `cross.${layer}.key`);
  if (softmax === undefined) return false;
  view.inputs.set(attentionRows, valueInfo(attentionRows, dataType.INT64, ["A"]));
  const rows = view.add("Gather", [outputOf(softmax), attentionRows], { attributes: { axis: 0 } });
  const chosen =
    heads.length === shape.heads
      ? rows
      : view.add("Gather", [rows, integersConstant(view, heads)], { attributes: { axis: 1 } });
  // Half-precision files may have it in half precision.
  const floats = view.add("Cast", [chosen], { attributes: { to: dataType.FLOAT } });
  view.setOutput(valueInfo(attentionOutput, dataType.FLOAT, ["A", "S"]), meanOverHeads(view, floats));
  return true;
}

const between = new Set(["Transpose", "Cast", "Mul", "Div", "MatMul", "Add"]);

/** From the keys on to the first Softmax; undefined where something else is on the way, or the way parts. */
function crossSoftmax(view: GraphView, key: string): NodeProto | undefined {
  const [first, ...others] = view.readers(key).filter((reader) => reader.opType !== "Shape");
  let reader = others.length === 0 ? first : undefined;
  while (reader !== undefined && reader.opType !== "Softmax") {
    reader = between.has(reader.opType) ? readerOf(view, reader) : undefined;
  }
  return reader;
}

// [A,H,1,S] ─▶ [A,S]. The axes became an input in version 18.
function meanOverHeads(view: GraphView, value: string): string {
  const axes = [1, 2];
  return view.opset >= 18
    ? view.add("ReduceMean", [value, integersConstant(view, axes)], { attributes: { keepdims: 0 } })
    : view.add("ReduceMean", [value], { attributes: { axes, keepdims: 0 } });
}
