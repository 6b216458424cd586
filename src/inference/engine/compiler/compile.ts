// Stock encoder and decoder files in, an encode graph and a step graph for rows of any age out, with all that the host must know of them.
import type { ModelProto } from "onnx-buf";
import { alignmentOf, handOutAttention } from "./rewrite/attention-output.js";
import { chooseHeads } from "./rewrite/choose.js";
import { encodeGraph } from "./rewrite/cross-memory.js";
import { GraphView } from "../../onnx/graph.js";
import { greedySteps } from "./rewrite/greedy-steps.js";
import { int8Products, type Int8Products } from "./rewrite/int8.js";
import { dropZeroBias, takeScores } from "./logits.js";
import { hoistBranch, isMerged, type Branch } from "./merged.js";
import { attempt, PatternMissing, type Outcome } from "../../onnx/pattern.js";
import { readModel } from "../../onnx/read-model.js";
import { stepGraph, type StepGraph } from "./rewrite/step-graph.js";
import { dataType } from "../../onnx/tensor.js";
import type { WantedAlignment } from "../../protocol/plan.js";
import type { Description } from "./description.js";

/** Paths of one folder's files: either the merged decoder or both halves. */
export type StockFiles = { readonly encoder: string } & (
  { readonly merged: string } | { readonly withPast: string; readonly withoutPast: string }
);

export interface CompileOptions {
  /** "int8": products with constant weights in int8, from fp32 files. Default fp32: the arithmetic of the files. */
  readonly dtype?: "fp32" | "int8";
  /** Largest magnitude of an int8 weight: 127, or 63 for CPUs without VNNI. */
  readonly weightLimit?: 127 | 63;
  /** Also a graph that makes several greedy steps in one run. */
  readonly greedy?: boolean;
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
  /** Only with `greedy`. */
  readonly greedy?: ModelProto;
  readonly description: Description;
}

/** Never throws: an unknown graph is refused by reason and node. The models share weights with the files' bytes. */
export function compile(files: StockFiles, options: CompileOptions = {}): Outcome<Compiled> {
  return attempt(() => {
    const encoder = readModel(files.encoder);
    const decoder = openDecoder(files);
    return compileModels(encoder, decoder, options);
  });
}

/** The two decoders of a folder, each made anew because a rewriting consumes its view. */
export interface StockDecoder {
  readonly withPast: () => GraphView;
  readonly withoutPast: () => GraphView;
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

/** Throws PatternMissing. */
export function compileModels(encoder: ModelProto, decoder: StockDecoder, options: CompileOptions): Compiled {
  const step = stepGraph(decoder.withPast(), options.maxDistance);
  const { shape, vocabSize, positions, relativeBias } = step;
  const encode = encodeGraph(encoder, decoder.withoutPast(), shape);
  const isHalf = [...step.view.initializers.values()].some((tensor) => tensor.dataType === dataType.FLOAT16);
  dropZeroBias(step.view);
  const products = options.dtype === "int8" ? toInt8(step.view, encode, options) : undefined;
  const greedy = (options.heads ?? true) ? addHeads(step, products, options) : {};
  const alignment = alignmentOf(shape, options.attention);
  const attention = handOutAttention(step.view, shape, alignment) ? alignment : undefined;
  return {
    encode: encode.toModel("encode"),
    step: step.view.toModel("step"),
    ...greedy,
    description: { ...shape, vocabSize, positions, relativeBias, isHalf, attention },
  };
}

function addHeads(step: StepGraph, products: Int8Products | undefined, options: CompileOptions) {
  const { view, shape, vocabSize, positions, relativeBias } = step;
  const scores = takeScores(view, products);
  const parts = { shape, scores, vocabSize, positions, biasHeads: relativeBias?.heads ?? 1 };
  const greedy = options.greedy === true ? { greedy: greedySteps(view.copy(), parts) } : {};
  chooseHeads(view, scores, vocabSize);
  return greedy;
}

function toInt8(step: GraphView, encode: GraphView, options: CompileOptions): Int8Products {
  const limit = options.weightLimit === undefined ? {} : { weightLimit: options.weightLimit };
  const products = int8Products(step, { layout: "rows", ...limit });
  if (products.count === 0)
    throw new PatternMissing("the decoder has no products with fp32 weights to turn to int8", "");
  int8Products(encode, { layout: "tokens", ...limit });
  return products;
}
