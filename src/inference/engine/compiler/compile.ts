// Stock encoder and decoder files in, an encode graph and a step graph for rows of any age out, with all that the host must know of them.
import type { GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { GraphView } from "../../onnx/graph.js";
import { copyNode, findAttribute, node } from "../../onnx/node.js";
import { attempt, PatternMissing, type Outcome } from "../../onnx/pattern.js";
import { readModel } from "../../onnx/read-model.js";
import { dataType, floatsOf } from "../../onnx/tensor.js";
import type { WantedAlignment } from "../../protocol/plan.js";
import type { Description } from "./description.js";
import { alignmentOf, handOutAttention } from "./rewrite/attention-output.js";
import { chooseHeads, type Scores } from "./rewrite/choose.js";
import { encodeGraph } from "./rewrite/cross-memory.js";
import { int8Products, type Int8Products } from "./rewrite/int8.js";
import { stepGraph } from "./rewrite/step-graph.js";

/** Paths of one folder's files: either the merged decoder or both halves. */
export type StockFiles = { readonly encoder: string } & (
  { readonly merged: string } | { readonly withPast: string; readonly withoutPast: string }
);

export interface CompileOptions {
  /** "int8": products with constant weights in int8, from fp32 files. Default fp32: the arithmetic of the files. */
  readonly dtype?: "fp32" | "int8";
  /** Largest magnitude of an int8 weight: 127, or 63 for CPUs without VNNI. */
  readonly weightLimit?: 127 | 63;
  /** False leaves the plain output logits [B,1,V] in place of the heads that choose. */
  readonly heads?: boolean;
  /** relative_attention_max_distance of config.json, for graphs that hold no constant for it. */
  readonly maxDistance?: number;
  /** Which cross-attention is handed out; absent: all heads of a usual layer. */
  readonly attention?: WantedAlignment;
}

export interface Compiled {
  readonly encode: ModelProto;
  readonly step: ModelProto;
  readonly description: Description;
}

/** The two decoders of a folder, each made anew because a rewriting consumes its view. */
export interface StockDecoder {
  readonly withPast: () => GraphView;
  readonly withoutPast: () => GraphView;
}

/** Never throws: an unknown graph is refused by reason and node. The models share weights with the files' bytes. */
export function compile(files: StockFiles, options: CompileOptions = {}): Outcome<Compiled> {
  return attempt(() => {
    const encoder = readModel(files.encoder);
    const decoder = openDecoder(files);
    return compileModels(encoder, decoder, options);
  });
}

/** Throws PatternMissing. */
export function compileModels(encoder: ModelProto, decoder: StockDecoder, options: CompileOptions): Compiled {
  const step = stepGraph(decoder.withPast(), options.maxDistance);
  const { shape, vocabSize, positions, relativeBias } = step;
  const encode = encodeGraph(encoder, decoder.withoutPast(), shape);
  const isHalf = [...step.view.initializers.values()].some((tensor) => tensor.dataType === dataType.FLOAT16);
  dropZeroBias(step.view);
  const products = options.dtype === "int8" ? toInt8(step.view, encode, options) : undefined;
  if (options.heads ?? true) chooseHeads(step.view, takeScores(step.view, products), vocabSize);
  const alignment = alignmentOf(shape, options.attention);
  const attention = handOutAttention(step.view, shape, alignment) ? alignment : undefined;
  return {
    encode: encode.toModel("encode"),
    step: step.view.toModel("step"),
    description: { ...shape, vocabSize, positions, relativeBias, isHalf, attention },
  };
}

function toInt8(step: GraphView, encode: GraphView, options: CompileOptions): Int8Products {
  const limit = options.weightLimit === undefined ? {} : { weightLimit: options.weightLimit };
  const products = int8Products(step, { layout: "rows", ...limit });
  if (products.count === 0)
    throw new PatternMissing("the decoder has no products with fp32 weights to turn to int8", "");
  int8Products(encode, { layout: "tokens", ...limit });
  return products;
}

/** A final_logits_bias of zeros (most models carry one) costs a pass over all scores for nothing. True when one was dropped. */
export function dropZeroBias(view: GraphView): boolean {
  const add = view.producer("logits");
  const info = view.outputs.get("logits");
  if (add?.opType !== "Add" || info === undefined) return false;
  const biasIndex = add.input.findIndex((name) => isZero(view, name));
  const scores = add.input[1 - biasIndex];
  if (biasIndex < 0 || scores === undefined || view.producer(scores) === undefined) return false;
  view.remove(add);
  view.outputs.delete("logits");
  view.setOutput(info, scores);
  return true;
}

function isZero(view: GraphView, value: string): boolean {
  const tensor = view.constant(value);
  if (tensor === undefined || tensor.dataType !== dataType.FLOAT) return false;
  return floatsOf(tensor).every((number) => number === 0);
}

/** Gives up the output logits; what it showed comes back as scores, before the row scale where the last product is one of ours. */
export function takeScores(view: GraphView, products: Int8Products | undefined): Scores {
  const held = products?.unscaled.get("logits");
  const value = view.takeOutput("logits");
  return held ?? { value };
}

export function openDecoder(files: StockFiles): StockDecoder {
  if ("withPast" in files) {
    const [past, first] = [readModel(files.withPast), readModel(files.withoutPast)];
    return { withPast: () => new GraphView(past), withoutPast: () => new GraphView(first) };
  }
  const merged = readModel(files.merged);
  if (!isMerged(merged)) throw new PatternMissing("the merged decoder has no input use_cache_branch", files.merged);
  const branch = (name: Branch) => (): GraphView => hoistBranch(merged, name);
  return { withPast: branch("then_branch"), withoutPast: branch("else_branch") };
}

const cacheSwitch = "use_cache_branch";

type Branch = "then_branch" | "else_branch";

function isMerged(model: ModelProto): boolean {
  return model.graph?.input.some((info) => info.name === cacheSwitch) ?? false;
}

/**
 * decoder_model_merged.onnx holds two decoders in one If: with past (then) and without (else). One of them becomes a flat graph again, as if it
 * had been exported by itself. Throws PatternMissing where the switch leads elsewhere.
 *
 *   weights ─┐                                    weights ─▶ branch nodes ─▶ outputs
 *            ▼                           ──▶
 *   use_cache_branch ─▶ If{then, else} ─▶ outputs
 */
function hoistBranch(model: ModelProto, branch: Branch): GraphView {
  const view = new GraphView(model);
  const choice = findSwitch(view);
  const graph = findAttribute(choice, branch)?.g;
  if (graph === undefined) throw new PatternMissing(`the If has no ${branch}`, choice.name);
  view.remove(choice);
  for (const tensor of graph.initializer) view.addConstant(tensor);
  const renamed = outputNames(choice, graph);
  for (const inside of graph.node) view.insert(renameOutputs(copyNode(inside), renamed));
  // A branch may hand out a value of the outer graph, or one value twice: give each output its own name.
  for (const [index, name] of choice.output.entries()) {
    const source = graph.output[index]?.name;
    if (source !== undefined && view.producer(name) === undefined) {
      view.insert(node({ op: "Identity", inputs: [renamed.get(source) ?? source], outputs: [name] }));
    }
  }
  return view;
}

function findSwitch(view: GraphView): NodeProto {
  const found = view.readers(cacheSwitch).find((reader) => reader.opType === "If");
  if (found === undefined) throw new PatternMissing(`${cacheSwitch} does not lead to an If`, cacheSwitch);
  return found;
}

// In the branch a value keeps its name unless it is an output that the If calls by another.
function outputNames(choice: NodeProto, graph: GraphProto): Map<string, string> {
  const names = new Map<string, string>();
  for (const [index, info] of graph.output.entries()) {
    const outer = choice.output[index];
    if (outer !== undefined && !names.has(info.name)) names.set(info.name, outer);
  }
  const made = new Set(graph.node.flatMap((inside) => inside.output));
  return new Map([...names].filter(([inner]) => made.has(inner)));
}

function renameOutputs(inside: NodeProto, renamed: ReadonlyMap<string, string>): NodeProto {
  inside.input = inside.input.map((name) => renamed.get(name) ?? name);
  inside.output = inside.output.map((name) => renamed.get(name) ?? name);
  return inside;
}
