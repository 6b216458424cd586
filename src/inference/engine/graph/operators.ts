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

/** Inputs and attributes of ReduceMax over the last axis: the axes became an input in version 18. */
export function lastAxisMax(view: GraphView, value: string, keepdims: 0 | 1): { inputs: string[]; attributes: Record<string, number | number[]> } {
  if (view.opset < 18) return { inputs: [value], attributes: { axes: [-1], keepdims } };
  return { inputs: [value, integersConstant(view, [-1])], attributes: { keepdims } };
}

export function reduceMax(view: GraphView, value: string, keepdims: 0 | 1): string {
  const { inputs, attributes } = lastAxisMax(view, value, keepdims);
  return view.add("ReduceMax", inputs, { attributes });
}

export function reshape(view: GraphView, value: string, dims: readonly number[]): string {
  return view.add("Reshape", [value, integersConstant(view, dims)]);
}
