// Small questions about a node and its neighbours that several rewritings ask.
import type { NodeProto } from "onnx-buf";
import type { GraphView } from "./graph.js";
import { inputOf, intsAttribute, outputOf } from "./node.js";
import { PatternMissing } from "./pattern.js";

/** Makers of a value, nearest first, each the first input of the one before; undefined where an operator is another. */
export function chain(view: GraphView, value: string, ...operators: string[]): NodeProto[] | undefined {
  const found: NodeProto[] = [];
  for (const operator of operators) {
    const maker = view.producer(found.length === 0 ? value : inputOf(found.at(-1), 0));
    if (maker?.opType !== operator) return undefined;
    found.push(maker);
  }
  return found;
}

/** The value and axis of Unsqueeze(Gather(Shape(of), axis)): one size, as the part of a shape. */
export function sizeRead(view: GraphView, value: string): { readonly of: string; readonly axis: number } | undefined {
  const [, gather, shape] = chain(view, value, "Unsqueeze", "Gather", "Shape") ?? [];
  const axis = view.scalar(inputOf(gather, 1));
  return shape === undefined || axis === undefined ? undefined : { of: inputOf(shape, 0), axis };
}

/** The one node that reads what a node makes; undefined for none or more. */
export function readerOf(view: GraphView, of: NodeProto): NodeProto | undefined {
  const [reader, ...others] = view.readers(outputOf(of));
  return others.length === 0 ? reader : undefined;
}

/** A MatMul whose second factor is the value. */
export function multipliesBy(candidate: NodeProto | undefined, value: string): candidate is NodeProto {
  return candidate?.opType === "MatMul" && candidate.input[1] === value;
}

/** Multiplication by, or division by, one constant number. */
export function isConstantScale(view: GraphView, candidate: NodeProto): boolean {
  if (candidate.opType !== "Mul" && candidate.opType !== "Div") return false;
  return view.scalar(candidate.input[1] ?? "") !== undefined;
}

export function constantScale(view: GraphView, of: NodeProto): number {
  const factor = view.scalar(of.input[1] ?? "");
  if (factor === undefined) throw new PatternMissing("the scale is not a constant", of.name);
  return of.opType === "Div" ? 1 / factor : factor;
}

/** Follows Cast from a value forwards; half-precision files convert their inputs first. */
export function skipCasts(view: GraphView, value: string): string {
  const readers = view.readers(value).filter((reader) => reader.opType !== "Shape");
  const [reader] = readers;
  if (readers.length !== 1 || reader?.opType !== "Cast") return value;
  return skipCasts(view, reader.output[0] ?? "");
}

export function transposesLastTwo(of: NodeProto): boolean {
  return of.opType === "Transpose" && intsAttribute(of, "perm").join() === "0,1,3,2";
}

/** Nodes that the value is made from, nearest first, as far as `stops` does not say so. */
export function ancestors(
  view: GraphView,
  value: string,
  stops: (node: NodeProto) => boolean = () => false,
): NodeProto[] {
  const found = new Set<NodeProto>();
  const queue = [value];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const maker = view.producer(name);
    if (maker === undefined || found.has(maker)) continue;
    found.add(maker);
    if (!stops(maker)) queue.push(...maker.input);
  }
  return [...found];
}
