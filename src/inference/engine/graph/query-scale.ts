// Attention scales keys after transposing them, at every step. The query is smaller, and its projection can take the factor once and for all.
//
//   q ─▶ [·a] ─┐                                        q' = x·(W·a·b) + bias·a·b ─┐
//              ├▶ MatMul        becomes                                            ├▶ MatMul
//   kᵀ ─▶ ·b ──┘                                        kᵀ ───────────────────────┘
import type { NodeProto } from "onnx-buf";
import { constantScale, isConstantScale } from "./chain.js";
import type { GraphView } from "./graph.js";
import { dataType, dimsOf, floatsOf, floatTensor, rawTensor } from "./tensor.js";

/** A value that is `query` times `factor`; query is read by one node. */
export function scaleQuery(view: GraphView, query: string, factor: number): string {
  const maker = view.producer(query);
  const isScaled = maker !== undefined && isConstantScale(view, maker) && view.readers(query).length === 1;
  const source = isScaled ? (maker.input[0] ?? "") : query;
  const whole = isScaled ? factor * constantScale(view, maker) : factor;
  const projection = findProjection(view, source);
  if (projection !== undefined) {
    for (const { node, input } of projection) scaleConstant(view, node, input, whole);
    return source;
  }
  return view.add("Mul", [source, view.addConstant(floatTensor(view.fresh("query_scale"), [], [whole]))]);
}

interface ConstantInput {
  readonly node: NodeProto;
  readonly input: number;
}

// Back over what only moves numbers, to the bias and the weight; undefined where something else reads them half-way.
function findProjection(view: GraphView, value: string): ConstantInput[] | undefined {
  const maker = view.producer(value);
  if (maker === undefined || view.readers(value).length !== 1) return undefined;
  if (maker.opType === "Transpose" || maker.opType === "Reshape") return findProjection(view, maker.input[0] ?? "");
  if (maker.opType === "MatMul") return isFloat(view, maker.input[1]) ? [{ node: maker, input: 1 }] : undefined;
  if (maker.opType !== "Add") return undefined;
  const bias = maker.input.findIndex((name) => isFloat(view, name));
  const rest = bias < 0 ? undefined : findProjection(view, maker.input[1 - bias] ?? "");
  return rest && [{ node: maker, input: bias }, ...rest];
}

function isFloat(view: GraphView, value: string | undefined): boolean {
  return value !== undefined && view.constant(value)?.dataType === dataType.FLOAT;
}

// A constant of its own: others may share the old one.
function scaleConstant(view: GraphView, node: NodeProto, input: number, factor: number): void {
  const tensor = view.constant(node.input[input] ?? "");
  if (tensor === undefined) return;
  const values = floatsOf(tensor).map((value) => value * factor);
  view.setInput(
    node,
    input,
    view.addConstant(rawTensor(view.fresh(`${tensor.name}/scaled`), dataType.FLOAT, dimsOf(tensor), values)),
  );
}
