// Small questions about a node and its neighbours that several rewritings ask.
import type { NodeProto } from "onnx-buf";
import type { GraphView } from "./graph.js";
import { intsAttribute } from "./node.js";
import { PatternMissing } from "./pattern.js";

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
