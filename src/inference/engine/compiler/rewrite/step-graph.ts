// The step graph: one decoder step for rows of any age, from the stock decoder with past. Runs the rewritings in their order and names what goes in and out.
import type { NodeProto, ValueInfoProto } from "onnx-buf";
import { constantScale, isConstantScale, multipliesBy, readerOf, transposesLastTwo } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { describeValue, inputOf, outputOf, valueInfo } from "../../../onnx/node.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType } from "../../../onnx/tensor.js";
import { constantShapes } from "./constant-shapes.js";
import { isPast, positionsFromInput, type PositionRule } from "./positions.js";
import { scaleQuery } from "./query-scale.js";
import { findRelativeBias, type RelativeBias } from "./relative-bias.js";
import { selfBias, twoPartAttention, type CacheShape } from "./two-part-attention.js";

export interface StepGraph {
  readonly view: GraphView;
  readonly shape: CacheShape;
  readonly vocabSize: number;
  readonly positions: PositionRule | undefined;
  readonly relativeBias: RelativeBias | undefined;
}

/** `withPast` is consumed. `configuredDistance`: relative_attention_max_distance of config.json, if any. */
export function stepGraph(withPast: GraphView, configuredDistance?: number): StepGraph {
  const view = withPast;
  const shape = cacheShape(view);
  measureInputs(view);
  const vocabSize = keepLogits(view);
  const [firstBias] = twoPartAttention(view, shape);
  const relative = firstBias === undefined ? undefined : findRelativeBias(view, firstBias, configuredDistance);
  const biasHeads = relative?.heads ?? 1;
  view.inputs.set(selfBias, valueInfo(selfBias, dataType.FLOAT, ["B", biasHeads, 1, "P1"]));
  view.prune();
  const positions = positionsFromInput(view);
  view.prune();
  for (let layer = 0; layer < shape.layers; layer++) scaleCrossQuery(view, layer);
  refusePastLength(view);
  constantShapes(view);
  renameCaches(view, shape);
  return { view, shape, vocabSize, positions, relativeBias: relative };
}

// Half-precision files convert their caches first and measure the result: the same lengths, read where the other rewritings look.
function measureInputs(view: GraphView): void {
  for (const input of view.inputs.keys()) {
    const casts = view.readers(input).filter((reader) => reader.opType === "Cast");
    const measures = casts
      .flatMap((cast) => view.readers(outputOf(cast)))
      .filter((reader) => reader.opType === "Shape");
    for (const measure of measures) view.setInput(measure, 0, input);
  }
}

/** Layers, heads and head size from the inputs past_key_values.i.decoder.key [B,H,P,D]. */
export function cacheShape(view: GraphView): CacheShape {
  const keys = [...view.inputs.values()].filter((info) => isPast(info.name) && info.name.endsWith(".key"));
  const [first] = keys;
  if (first === undefined) throw new PatternMissing("the decoder has no inputs past_key_values.i.decoder.key", "");
  const [, heads, , headDim] = describeValue(first).dims;
  if (heads === undefined || headDim === undefined) {
    throw new PatternMissing(`the heads of ${first.name} are not fixed numbers`, first.name);
  }
  return { layers: keys.length, heads, headDim };
}

function keepLogits(view: GraphView): number {
  const logits = view.outputs.get("logits");
  if (logits === undefined) throw new PatternMissing("the decoder has no output logits", "logits");
  const { dims, elemType } = describeValue(logits);
  const vocabSize = dims.at(-1);
  if (vocabSize === undefined) throw new PatternMissing("the size of the vocabulary is not a fixed number", "logits");
  view.outputs.clear();
  view.outputs.set("logits", valueInfo("logits", elemType, ["B", 1, vocabSize]));
  return vocabSize;
}

// The stock graph scales the whole cross key, transposed, in every step; the query is S times smaller.
function scaleCrossQuery(view: GraphView, layer: number): void {
  const transposed = view.readers(`past_key_values.${layer}.encoder.key`).find(transposesLastTwo);
  const scaling = transposed && readerOf(view, transposed);
  if (transposed === undefined || scaling === undefined || !isConstantScale(view, scaling)) return;
  const product = readerOf(view, scaling);
  if (!multipliesBy(product, outputOf(scaling))) return;
  view.setInput(product, 0, scaleQuery(view, inputOf(product, 0), constantScale(view, scaling)));
  view.setInput(product, 1, outputOf(transposed));
  view.remove(scaling);
}

// What still counts the past would give all rows one age.
function refusePastLength(view: GraphView): void {
  const counted = view.nodes.find((candidate) => countsPast(view, candidate));
  if (counted !== undefined)
    throw new PatternMissing(`${counted.opType} still depends on the length of the past`, counted.name);
}

function countsPast(view: GraphView, candidate: NodeProto): boolean {
  if (candidate.opType !== "Shape" || !isPast(candidate.input[0] ?? "")) return false;
  const readers = view.readers(candidate.output[0] ?? "");
  return readers.some((reader) => reader.opType !== "Gather" || view.scalar(reader.input[1] ?? "") === 2);
}

function renameCaches(view: GraphView, shape: CacheShape): void {
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const part of ["key", "value"]) {
      renameInput(view, `past_key_values.${layer}.decoder.${part}`, `past.${layer}.${part}`, "P", shape);
      renameInput(view, `past_key_values.${layer}.encoder.${part}`, `cross.${layer}.${part}`, "S", shape);
    }
  }
}

function renameInput(view: GraphView, before: string, after: string, width: string, shape: CacheShape): void {
  const info: ValueInfoProto | undefined = view.inputs.get(before);
  if (info === undefined) throw new PatternMissing(`there is no input ${before}`, before);
  view.inputs.delete(before);
  view.inputs.set(after, valueInfo(after, describeValue(info).elemType, ["B", shape.heads, width, shape.headDim]));
  view.replaceUses(before, after);
}
