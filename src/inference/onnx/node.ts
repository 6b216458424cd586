// One node at a time: building NodeProtos and value infos, and reading attributes. graph.ts holds many of them together.
import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  NodeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "onnx-buf";

/** Integers become INT; floats must be wrapped, as 1.0 and 1 are one number in JavaScript. */
export type AttributeValue =
  | number
  | readonly number[]
  | { readonly float: number }
  | { readonly graph: GraphProto }
  | { readonly tensor: TensorProto };

export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number") return create(AttributeProtoSchema, { name, type: Kind.INT, i: BigInt(value) });
  if ("float" in value) return create(AttributeProtoSchema, { name, type: Kind.FLOAT, f: value.float });
  if ("tensor" in value) return create(AttributeProtoSchema, { name, type: Kind.TENSOR, t: value.tensor });
  if ("graph" in value) return create(AttributeProtoSchema, { name, type: Kind.GRAPH, g: value.graph });
  return create(AttributeProtoSchema, { name, type: Kind.INTS, ints: value.map(BigInt) });
}

export interface NodeShape {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
}

export function node(shape: NodeShape): NodeProto {
  const attributes = Object.entries(shape.attributes ?? {}).map(([name, value]) => attribute(name, value));
  return create(NodeProtoSchema, {
    name: shape.outputs[0] ?? "",
    opType: shape.op,
    domain: shape.domain ?? "",
    input: [...shape.inputs],
    output: [...shape.outputs],
    attribute: attributes,
  });
}

/** The same node with lists of its own, so that wires can be moved without touching the model it came from. */
export function copyNode(original: NodeProto): NodeProto {
  const { name, opType, domain, overload, attribute: attributes } = original;
  const wires = { input: [...original.input], output: [...original.output] };
  return create(NodeProtoSchema, { name, opType, domain, overload, attribute: [...attributes], ...wires });
}

/** Name of an input; "" where the node, or the input, is not there. */
export function inputOf(of: NodeProto | undefined, index: number): string {
  return of?.input[index] ?? "";
}

/** Name of the first output; "" where there is no node. */
export function outputOf(of: NodeProto | undefined): string {
  return of?.output[0] ?? "";
}

export function findAttribute(of: NodeProto, name: string): AttributeProto | undefined {
  return of.attribute.find((candidate) => candidate.name === name);
}

export function intAttribute(of: NodeProto, name: string, otherwise: number): number {
  const found = findAttribute(of, name);
  return found === undefined ? otherwise : Number(found.i);
}

export function intsAttribute(of: NodeProto, name: string): number[] {
  return findAttribute(of, name)?.ints.map(Number) ?? [];
}

/** The tensor inside a Constant node; undefined for other nodes. */
export function constantTensor(of: NodeProto | undefined): TensorProto | undefined {
  return of?.opType === "Constant" ? findAttribute(of, "value")?.t : undefined;
}

/** A graph input or output. Named dimensions are strings, as ONNX's dim_param. */
export function valueInfo(name: string, elemType: number, dims: readonly (string | number)[]): ValueInfoProto {
  const dim = dims.map((size) => ({
    value:
      typeof size === "string"
        ? { case: "dimParam" as const, value: size }
        : { case: "dimValue" as const, value: BigInt(size) },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
  });
}

/** Element type and dimensions of a graph input or output; a named or missing dimension is undefined. */
export function describeValue(info: ValueInfoProto): { elemType: number; dims: (number | undefined)[] } {
  const type = info.type?.value;
  if (type?.case !== "tensorType") return { elemType: 0, dims: [] };
  const dims = (type.value.shape?.dim ?? []).map((dim) =>
    dim.value.case === "dimValue" ? Number(dim.value.value) : undefined,
  );
  return { elemType: type.value.elemType, dims };
}

/** Names a node reads: its inputs and what graphs inside it take from outside. */
export function readsOf(of: NodeProto): string[] {
  const inner = of.attribute.flatMap((held) => (held.g ? capturedBy(held.g) : []));
  return [...of.input, ...inner].filter((name) => name !== "");
}

function capturedBy(graph: GraphProto): string[] {
  const own = new Set([
    ...graph.input.map((info) => info.name),
    ...graph.initializer.map((tensor) => tensor.name),
    ...graph.node.flatMap((inside) => inside.output),
  ]);
  const read = [...graph.node.flatMap(readsOf), ...graph.output.map((info) => info.name)];
  return read.filter((name) => !own.has(name));
}
