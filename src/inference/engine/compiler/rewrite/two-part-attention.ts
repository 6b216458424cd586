// Self-attention over a cache that is never concatenated: the past is an input as it lies in the host's memory, only the new K and V leave.
//
//   past_k ─▶ Concat ─▶ Transpose ─▶ [·c] ─▶ q· ─▶ + mask ─▶ Softmax ─▶ ·Concat(past_v, new_v)
//   becomes
//   q·[c] ─┬▶ ·past_kᵀ ─┐
//          └▶ ·new_kᵀ ──┴▶ Concat ─▶ + self_bias ─▶ Softmax ─┬▶ w[:P]·past_v ─┐
//                                                            └▶ w[P:]·new_v ──┴▶ Add
import type { NodeProto } from "onnx-buf";
import { constantScale, isConstantScale, skipCasts, transposesLastTwo } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { describeValue, intAttribute, valueInfo } from "../../../onnx/node.js";
import { reduceLast } from "../../../onnx/operators.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType, floatTensor, int64Tensor } from "../../../onnx/tensor.js";
import { scaleQuery } from "./query-scale.js";

/** Shape of a decoder's caches, read from its inputs. */
export interface CacheShape {
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
}

export const selfBias = "self_bias";

/** Rewrites every layer; returns the values that were added to the scores before, layer by layer (undefined where there was none). */
export function twoPartAttention(view: GraphView, shape: CacheShape): (string | undefined)[] {
  return Array.from({ length: shape.layers }, (_, layer) => rewriteLayer(view, layer, shape));
}

interface Cache {
  /** Graph input [B,H,P,D]. */
  readonly input: string;
  /** The value Concat took as past: the input, or its Cast to half precision. */
  readonly past: string;
  readonly fresh: string;
  readonly joined: NodeProto;
  readonly isCast: boolean;
}

interface Scores {
  readonly product: NodeProto;
  /** From the product to the last node before Softmax. */
  readonly adds: NodeProto[];
  readonly softmax: NodeProto;
  readonly weighted: NodeProto;
}

function rewriteLayer(view: GraphView, layer: number, shape: CacheShape): string | undefined {
  const key = findCache(view, `past_key_values.${layer}.decoder.key`);
  const value = findCache(view, `past_key_values.${layer}.decoder.value`);
  const transposed = requireOnly(readersOfJoin(view, key), "Transpose", key.joined);
  if (!transposesLastTwo(transposed))
    throw new PatternMissing("the key is transposed in an unknown way", transposed.name);
  const scaled = soleReader(view, transposed);
  const scale = isConstantScale(view, scaled) ? constantScale(view, scaled) : undefined;
  const scores = findScores(view, scale === undefined ? transposed : scaled, value);
  const query = scaleQuery(view, scores.product.input[0] ?? "", scale ?? 1, key.isCast);
  joinScores(view, scores, query, key);
  splitWeights(view, scores, value, layer);
  const before = putBias(view, scores, key);
  addNewOutput(view, key, `new.${layer}.key`, shape);
  addNewOutput(view, value, `new.${layer}.value`, shape);
  return before;
}

function findCache(view: GraphView, input: string): Cache {
  if (!view.inputs.has(input)) throw new PatternMissing(`there is no input ${input}`, input);
  const past = skipCasts(view, input);
  const joined = findJoin(view, past, input);
  const [, fresh, ...others] = joined.input;
  if (fresh === undefined || others.length > 0 || ![2, -2].includes(intAttribute(joined, "axis", 0))) {
    throw new PatternMissing(`${input} is not joined with the new row along axis 2`, joined.name);
  }
  return { input, past, fresh, joined, isCast: past !== input };
}

function findJoin(view: GraphView, past: string, input: string): NodeProto {
  const readers = view.readers(past).filter((reader) => reader.opType !== "Shape");
  const joined = readers.find((reader) => reader.opType === "Concat" && reader.input[0] === past);
  if (joined !== undefined) return joined;
  const [reader] = readers;
  throw new PatternMissing(
    `${input} is read by ${reader?.opType ?? "nothing"}, not by a Concat`,
    reader?.name ?? input,
  );
}

function readersOfJoin(view: GraphView, cache: Cache): NodeProto[] {
  return view
    .readers(cache.joined.output[0] ?? "")
    .filter((reader) => reader.opType !== "Shape" && !leavesGraph(reader));
}

// On the way to an output present.*, which is given up.
function leavesGraph(reader: NodeProto): boolean {
  return reader.opType === "Identity" || reader.opType === "Cast";
}

function requireOnly(readers: readonly NodeProto[], op: string, after: NodeProto): NodeProto {
  const [reader] = readers;
  if (readers.length === 1 && reader?.opType === op) return reader;
  const seen = readers.map((candidate) => candidate.opType).join(", ");
  throw new PatternMissing(
    `expected one ${op} after ${after.opType}, found ${seen === "" ? "nothing" : seen}`,
    reader?.name ?? after.name,
  );
}

function soleReader(view: GraphView, of: NodeProto): NodeProto {
  const readers = view.readers(of.output[0] ?? "");
  const [reader] = readers;
  if (reader === undefined || readers.length !== 1) {
    throw new PatternMissing(`the result of ${of.opType} is read by ${readers.length} nodes, not by one`, of.name);
  }
  return reader;
}

function findScores(view: GraphView, keys: NodeProto, value: Cache): Scores {
  const product = soleReader(view, keys);
  if (product.opType !== "MatMul" || product.input[1] !== keys.output[0]) {
    throw new PatternMissing(`expected the product of query and key, found ${product.opType}`, product.name);
  }
  const adds: NodeProto[] = [];
  let last = soleReader(view, product);
  while (last.opType !== "Softmax") {
    if (last.opType === "Add") adds.push(last);
    else if (last.opType !== "Cast" && !isConstantScale(view, last)) {
      throw new PatternMissing(`${last.opType} between the scores and Softmax is not known`, last.name);
    }
    last = soleReader(view, last);
  }
  const softmax = last;
  let weighted = soleReader(view, softmax);
  while (weighted.opType === "Cast") weighted = soleReader(view, weighted);
  if (weighted.opType !== "MatMul" || weighted.input[1] !== value.joined.output[0]) {
    throw new PatternMissing(
      `expected the product of attention weights and values, found ${weighted.opType}`,
      weighted.name,
    );
  }
  return { product, adds, softmax, weighted };
}

function joinScores(view: GraphView, scores: Scores, query: string, key: Cache): void {
  const past = view.add("MatMul", [query, view.add("Transpose", [key.past], { attributes: { perm: [0, 1, 3, 2] } })]);
  // One number per head: summing is several times faster than a product of single vectors.
  const own = reduceLast(view, "ReduceSum", view.add("Mul", [query, key.fresh]), 1);
  view.replaceUses(scores.product.output[0] ?? "", view.add("Concat", [past, own], { attributes: { axis: -1 } }));
}

function splitWeights(view: GraphView, scores: Scores, value: Cache, layer: number): void {
  const weights = scores.weighted.input[0] ?? "";
  const at = (name: string, index: number): string => view.addConstant(int64Tensor(`attention.${name}`, [1], [index]));
  const [first, last, end, axis] = [at("first", 0), at("last", -1), at("end", 2 ** 31), at("axis", 3)];
  const past = view.add("MatMul", [view.add("Slice", [weights, first, last, axis]), value.past]);
  const own = view.add("Mul", [view.add("Slice", [weights, last, end, axis]), value.fresh]);
  view.replaceUses(scores.weighted.output[0] ?? "", view.add("Add", [past, own], { name: `attention.${layer}` }));
}

function putBias(view: GraphView, scores: Scores, key: Cache): string | undefined {
  const bias = key.isCast ? halfBias(view) : selfBias;
  const last = scores.adds.at(-1);
  if (last === undefined) {
    view.setInput(scores.softmax, 0, view.add("Add", [scores.softmax.input[0] ?? "", bias]));
    return undefined;
  }
  if (scores.adds.length > 1) throw new PatternMissing("more than one Add between the scores and Softmax", last.name);
  const scoresIndex = leadsFrom(view, last.input[0] ?? "", scores.product) ? 0 : 1;
  const before = last.input[1 - scoresIndex];
  view.setInput(last, 1 - scoresIndex, bias);
  return before;
}

function leadsFrom(view: GraphView, value: string, product: NodeProto): boolean {
  let maker = view.producer(value);
  while (maker !== undefined && (maker.opType === "Cast" || isConstantScale(view, maker))) {
    maker = view.producer(maker.input[0] ?? "");
  }
  return maker === product || (maker?.opType === "Concat" && view.producer(maker.input[0] ?? "")?.opType === "MatMul");
}

// -1e30 is outside half precision; -65504 is its most negative number and masks as well.
function halfBias(view: GraphView): string {
  const name = `${selfBias}.half`;
  if (view.producer(name) !== undefined) return name;
  const floor = view.addConstant(floatTensor(`${selfBias}.floor`, [], [-65504]));
  return view.add("Cast", [view.add("Max", [selfBias, floor])], { attributes: { to: dataType.FLOAT16 }, name });
}

function addNewOutput(view: GraphView, cache: Cache, name: string, shape: CacheShape): void {
  const info = view.inputs.get(cache.input);
  const { elemType } = info === undefined ? { elemType: dataType.FLOAT } : describeValue(info);
  const value = cache.isCast ? view.add("Cast", [cache.fresh], { attributes: { to: elemType } }) : cache.fresh;
  view.setOutput(valueInfo(name, elemType, ["B", shape.heads, 1, shape.headDim]), value);
}
