// Attention scales keys after transposing them, at every step. The query is smaller, and its projection can take the factor once and for all.
//
//   q ─▶ [·a] ─┐                                        q' = x·(W·a·b) + bias·a·b ─┐
//              ├▶ MatMul        becomes                                            ├▶ MatMul
//   kᵀ ─▶ ·b ──┘                                        kᵀ ───────────────────────┘
import type { NodeProto } from "onnx-buf";
import { constantScale, isConstantScale } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { inputOf } from "../../../onnx/node.js";
import { dataType, dimsOf, floatsOf, floatTensor, rawTensor } from "../../../onnx/tensor.js";

/** A value that is `query` times `factor`; query is read by one node. `isHalf`: it is in half precision. */
export function scaleQuery(view: GraphView, query: string, factor: number, isHalf = false): string {
  const maker = view.producer(query);
  const isScaled = maker !== undefined && isConstantScale(view, maker) && view.readers(query).length === 1;
  const source = isScaled ? (maker.input[0] ?? "") : query;
  const whole = isScaled ? factor * constantScale(view, maker) : factor;
  const projection = findProjection(view, source);
  if (projection !== undefined) {
    for (const { node, input } of projection) scaleConstant(view, node, input, whole);
    return source;
  }
  const scale = view.addConstant(floatTensor(view.fresh("query_scale"), [], [whole]));
  const cast = isHalf ? view.add("Cast", [scale], { attributes: { to: dataType.FLOAT16 } }) : scale;
  return view.add("Mul", [source, cast]);
}

interface ConstantInput {
  readonly node: NodeProto;
  readonly input: number;
}

/** What a factor passes on its way back to the weight: the input it takes with it, if any, and the one it goes on along. */
type Passage = (view: GraphView, node: NodeProto) => { readonly scales: number[]; readonly on?: number } | undefined;

const moves: Passage = () => ({ scales: [], on: 0 });
const passages: Readonly<Record<string, Passage>> = {
  Transpose: moves,
  Reshape: moves,
  MatMul: (view, node) => (isFloat(view, inputOf(node, 1)) ? { scales: [1] } : undefined),
  Add: (view, node) => {
    const bias = node.input.findIndex((name) => isFloat(view, name));
    return bias < 0 ? undefined : { scales: [bias], on: 1 - bias };
  },
};

// Back to the bias and the weight; undefined where something else reads them half-way.
function findProjection(view: GraphView, value: string): ConstantInput[] | undefined {
  const node = view.producer(value);
  if (node === undefined || view.readers(value).length !== 1) return undefined;
  const passage = passages[node.opType]?.(view, node);
  if (passage === undefined) return undefined;
  const own = passage.scales.map((input) => ({ node, input }));
  if (passage.on === undefined) return own;
  const rest = findProjection(view, inputOf(node, passage.on));
  return rest && [...own, ...rest];
}

function isFloat(view: GraphView, value: string): boolean {
  return view.constant(value)?.dataType === dataType.FLOAT;
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
