// Operators whose form depends on the version of the operator set, and constants that several rewritings share.
import type { GraphView } from "./graph.js";
import { floatTensor, int64Tensor } from "./tensor.js";

/** A constant vector of integers; one per content. */
export function integersConstant(view: GraphView, values: readonly number[]): string {
  const name = `integers[${values.join()}]`;
  return view.initializers.has(name) ? name : view.addConstant(int64Tensor(name, [values.length], values));
}

export function numberConstant(view: GraphView, value: number): string {
  const name = `number[${value}]`;
  return view.initializers.has(name) ? name : view.addConstant(floatTensor(name, [], [value]));
}

/** Inputs and attributes of a reduction over the last axis: axes became an input in version 13 (ReduceSum) and 18 (the others). */
export function lastAxis(view: GraphView, op: "ReduceMax" | "ReduceSum", value: string, keepdims: 0 | 1): Reduction {
  const asInput = view.opset >= (op === "ReduceSum" ? 13 : 18);
  return asInput
    ? { inputs: [value, integersConstant(view, [-1])], attributes: { keepdims } }
    : { inputs: [value], attributes: { axes: [-1], keepdims } };
}

interface Reduction {
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, number | number[]>>;
}

export function reduceLast(view: GraphView, op: "ReduceMax" | "ReduceSum", value: string, keepdims: 0 | 1): string {
  const { inputs, attributes } = lastAxis(view, op, value, keepdims);
  return view.add(op, inputs, { attributes });
}

export function reshape(view: GraphView, value: string, dims: readonly number[]): string {
  return view.add("Reshape", [value, integersConstant(view, dims)]);
}
