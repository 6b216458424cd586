// A small mutable view of one GraphProto: who makes a value, who reads it, moving wires, dropping what nothing needs.
// The model it was made from is never changed; weights are shared with it, not copied.
import { create } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "onnx-buf";
import { constantTensor, copyNode, node, readsOf, type NodeShape } from "./node.js";
import { PatternMissing } from "./pattern.js";
import { floatsOf, integersOf, renamedTensor, sizeOf } from "./tensor.js";

export class GraphView {
  readonly inputs = new Map<string, ValueInfoProto>();
  readonly outputs = new Map<string, ValueInfoProto>();
  readonly initializers = new Map<string, TensorProto>();
  readonly #model: ModelProto;
  readonly #producers = new Map<string, NodeProto>();
  readonly #readers = new Map<string, Set<NodeProto>>();
  readonly #domains = new Map<string, bigint>();
  #freshNames = 0;

  constructor(model: ModelProto) {
    const graph = model.graph;
    if (graph === undefined) throw new PatternMissing("the file holds no graph", "");
    this.#model = model;
    for (const opset of model.opsetImport) this.#domains.set(opset.domain, opset.version);
    for (const tensor of graph.initializer) this.initializers.set(tensor.name, tensor);
    for (const info of graph.input) if (!this.initializers.has(info.name)) this.inputs.set(info.name, info);
    for (const info of graph.output) this.outputs.set(info.name, info);
    for (const original of graph.node) this.insert(copyNode(original));
  }

  /** Version of the default operator set. */
  get opset(): number {
    return Number(this.#domains.get("") ?? this.#domains.get("ai.onnx") ?? 0n);
  }

  get nodes(): NodeProto[] {
    return [...new Set(this.#producers.values())];
  }

  producer(value: string): NodeProto | undefined {
    return this.#producers.get(value);
  }

  /** Nodes that read the value, in no order. */
  readers(value: string): NodeProto[] {
    return [...(this.#readers.get(value) ?? [])];
  }

  /** Initializer or Constant node behind the value; exporters give equal weights one initializer and an Identity for each further use. */
  constant(value: string): TensorProto | undefined {
    const maker = this.#producers.get(value);
    if (maker?.opType === "Identity") return this.constant(maker.input[0] ?? "");
    return this.initializers.get(value) ?? constantTensor(maker);
  }

  /** The one number of a constant scalar or 1-element tensor. */
  scalar(value: string): number | undefined {
    const tensor = this.constant(value);
    if (tensor === undefined || sizeOf(tensor) !== 1) return undefined;
    return floatsOf(tensor)[0];
  }

  integers(value: string): number[] | undefined {
    const tensor = this.constant(value);
    return tensor === undefined ? undefined : integersOf(tensor);
  }

  fresh(stem: string): string {
    this.#freshNames += 1;
    return `${stem}#${this.#freshNames}`;
  }

  /** Inserts a node as it is; its outputs must be new names. A large Constant becomes an initializer, so that its bytes can lie outside. */
  insert(added: NodeProto): void {
    const tensor = constantTensor(added);
    if (tensor !== undefined && sizeOf(tensor) >= 256) {
      this.addConstant(renamedTensor(tensor, added.output[0] ?? ""));
      return;
    }
    for (const name of added.output) {
      if (name !== "" && this.#producers.has(name)) throw new PatternMissing(`two nodes make ${name}`, added.name);
      if (name !== "") this.#producers.set(name, added);
    }
    for (const name of readsOf(added)) this.#addReader(name, added);
  }

  /** Adds a node with one fresh output; returns that output's name. */
  add(
    op: string,
    inputs: readonly string[],
    rest: Pick<NodeShape, "attributes" | "domain"> & { name?: string } = {},
  ): string {
    const { name, ...shape } = rest;
    const output = name ?? this.fresh(op);
    this.insert(node({ op, inputs, outputs: [output], ...shape }));
    if (shape.domain !== undefined && !this.#domains.has(shape.domain)) this.#domains.set(shape.domain, 1n);
    return output;
  }

  addConstant(tensor: TensorProto): string {
    this.initializers.set(tensor.name, tensor);
    return tensor.name;
  }

  remove(gone: NodeProto): void {
    for (const name of gone.output) this.#producers.delete(name);
    for (const name of readsOf(gone)) this.#readers.get(name)?.delete(gone);
  }

  setInput(of: NodeProto, index: number, value: string): void {
    const before = of.input[index];
    of.input[index] = value;
    if (before !== undefined && !readsOf(of).includes(before)) this.#readers.get(before)?.delete(of);
    this.#addReader(value, of);
  }

  /** Every node that read `before` reads `after`. Graph outputs keep their names: see `setOutput`. */
  replaceUses(before: string, after: string): void {
    for (const reader of this.readers(before)) {
      for (const [index, name] of reader.input.entries()) if (name === before) this.setInput(reader, index, after);
      if (readsOf(reader).includes(before))
        throw new PatternMissing(`${before} is read inside a sub-graph`, reader.name);
    }
  }

  /** Declares a graph output; `value` is what it shows, under the output's own name. */
  setOutput(info: ValueInfoProto, value: string): void {
    this.outputs.set(info.name, info);
    if (info.name === value) return;
    if (this.#producers.has(info.name))
      throw new PatternMissing(`the graph already has a value ${info.name}`, info.name);
    if (this.#producers.has(value) && !this.outputs.has(value)) this.#rename(value, info.name);
    else this.insert(node({ op: "Identity", inputs: [value], outputs: [info.name] }));
  }

  /** Gives up an output; returns the new name of its value, so that the output's own name is free. */
  takeOutput(name: string): string {
    this.outputs.delete(name);
    const value = this.fresh(name);
    this.#rename(name, value);
    return value;
  }

  /** A model of what leads to the outputs, in an order that runs. Unread inputs, nodes and weights are left out. */
  toModel(graphName: string): ModelProto {
    const { nodes, read } = this.#neededInOrder();
    const { irVersion, producerName, producerVersion, functions } = this.#model;
    const graph = create(GraphProtoSchema, {
      name: graphName,
      node: nodes,
      initializer: [...this.initializers.values()].filter((tensor) => read.has(tensor.name)),
      input: [...this.inputs.values()].filter((info) => read.has(info.name)),
      output: [...this.outputs.values()],
    });
    const opsetImport = [...this.#domains].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version }),
    );
    return create(ModelProtoSchema, { irVersion, producerName, producerVersion, functions, opsetImport, graph });
  }

  /** Names that lead to the outputs: values, inputs and weights. */
  needed(): Set<string> {
    return this.#neededInOrder().read;
  }

  /** Drops nodes that lead to no output. */
  prune(): void {
    const { nodes } = this.#neededInOrder();
    const kept = new Set(nodes);
    for (const candidate of this.nodes) if (!kept.has(candidate)) this.remove(candidate);
  }

  // Depth first from the outputs, with a stack of our own: deep decoders would overflow the call stack.
  #neededInOrder(): { nodes: NodeProto[]; read: Set<string> } {
    const nodes: NodeProto[] = [];
    const read = new Set<string>(this.outputs.keys());
    const state = new Map<NodeProto, "open" | "done">();
    const stack = [...this.outputs.keys()].reverse().flatMap((name) => this.#producers.get(name) ?? []);
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as NodeProto;
      if (state.has(top)) {
        stack.pop();
        if (state.get(top) === "open") nodes.push(top);
        state.set(top, "done");
        continue;
      }
      state.set(top, "open");
      for (const name of readsOf(top)) {
        read.add(name);
        const before = this.#producers.get(name);
        if (before !== undefined && !state.has(before)) stack.push(before);
      }
    }
    return { nodes, read };
  }

  #rename(before: string, after: string): void {
    const maker = this.#producers.get(before);
    if (maker === undefined) return;
    maker.output = maker.output.map((name) => (name === before ? after : name));
    this.#producers.delete(before);
    this.#producers.set(after, maker);
    this.replaceUses(before, after);
  }

  #addReader(name: string, reader: NodeProto): void {
    const readers = this.#readers.get(name) ?? new Set();
    readers.add(reader);
    this.#readers.set(name, readers);
  }
}
