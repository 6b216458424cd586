// A step handles one id per row, so most shapes that the stock graph computes at every step are known: about ten small nodes per layer go.
//
//   Shape(hidden) ─▶ Gather ─▶ Unsqueeze ─▶ Concat(batch, length, heads, size) ─▶ Reshape      becomes      Reshape(·, [0, 1, heads, size])
//   Shape(cross key) ─▶ … ─▶ Slice(mask)                                                     becomes      mask
import type { NodeProto } from "onnx-buf";
import { ancestors, chain, sizeRead } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { inputOf, intAttribute, intsAttribute, outputOf } from "../../../onnx/node.js";
import { integersConstant } from "../../../onnx/operators.js";

/** Call on a pruned step graph, before its caches are renamed. */
export function constantShapes(view: GraphView): void {
  for (const candidate of view.nodes) {
    if (candidate.opType === "Reshape") fixReshape(view, candidate);
    if (candidate.opType === "Slice") dropWholeSlice(view, candidate);
  }
  for (const candidate of view.nodes) if (swapsHeads(candidate)) dropTranspose(view, candidate);
  view.prune();
}

function fixReshape(view: GraphView, reshape: NodeProto): void {
  const shape = view.producer(reshape.input[1] ?? "");
  if (shape?.opType !== "Concat" || intAttribute(reshape, "allowzero", 0) !== 0) return;
  const parts = shape.input.map((name, index) => knownSizes(view, name, index));
  const dims = parts.every((part) => part !== undefined) ? parts.flat() : undefined;
  if (dims !== undefined) view.setInput(reshape, 1, integersConstant(view, dims));
}

// 0 in a Reshape copies the size at that place: the batch, which comes first before and after.
function knownSizes(view: GraphView, value: string, index: number): number[] | undefined {
  const known = view.integers(value);
  if (known !== undefined) return known;
  const read = sizeRead(view, value);
  const axis = read !== undefined && isHidden(view, read.of) ? read.axis : undefined;
  if (axis === 1) return [1];
  return axis === 0 && index === 0 ? [0] : undefined;
}

// What a product with a constant weight reads has one vector per row.
function isHidden(view: GraphView, value: string): boolean {
  if (value === "input_ids") return true;
  if (value.startsWith("past_key_values.")) return false;
  return view
    .readers(value)
    .some((reader) => reader.opType === "MatMul" && reader.input[0] === value && isWeight(view, reader.input[1] ?? ""));
}

function isWeight(view: GraphView, value: string): boolean {
  const maker = view.producer(value);
  const source = maker?.opType === "Transpose" ? (maker.input[0] ?? "") : value;
  return view.constant(source)?.dims.length === 2;
}

function swapsHeads(candidate: NodeProto): boolean {
  return candidate.opType === "Transpose" && intsAttribute(candidate, "perm").join() === "0,2,1,3";
}

// [B,1,H,D] and [B,H,1,D] are the same numbers in the same order: the Reshape next to it says the other shape.
function dropTranspose(view: GraphView, transpose: NodeProto): void {
  const [source, output] = [inputOf(transpose, 0), outputOf(transpose)];
  const [before] = chain(view, source, "Reshape") ?? [];
  const dims = view.integers(inputOf(before, 1)) ?? [];
  if (dims.length === 4 && (dims[1] === 1 || dims[1] === -1)) {
    const [batch = 0, , heads = 0, size = 0] = dims;
    view.remove(transpose);
    view.add("Reshape", [inputOf(before, 0), integersConstant(view, [batch, heads, 1, size])], { name: output });
  } else if (isFlattened(view, output)) view.replaceUses(output, source);
}

function isFlattened(view: GraphView, value: string): boolean {
  const readers = view.readers(value);
  const flattens = (reader: NodeProto): boolean =>
    reader.opType === "Reshape" && view.integers(inputOf(reader, 1))?.length === 3;
  return readers.length > 0 && readers.every(flattens);
}

// Cuts the mask to the source width, which it has already: it is made from encoder_attention_mask [B,S].
function dropWholeSlice(view: GraphView, slice: NodeProto): void {
  const data = inputOf(slice, 0);
  if (!keepsSourceWidth(view, slice)) return;
  const sources = ancestors(view, data).flatMap((maker) => maker.input);
  const fromCaches = sources.some((name) => name.startsWith("past_key_values."));
  if (sources.includes("encoder_attention_mask") && !fromCaches) view.replaceUses(outputOf(slice), data);
}

// From 0 to the size 2 of past_key_values.i.encoder.key, in single steps along the last axis of four.
function keepsSourceWidth(view: GraphView, slice: NodeProto): boolean {
  const [, start, , axis, step] = slice.input.map((name) => view.scalar(name));
  const end = sizeRead(view, inputOf(slice, 2));
  const isCross = /^past_key_values\.\d+\.encoder\.key$/.test(end?.of ?? "");
  const whole = start === 0 && (step ?? 1) === 1 && isCross && end?.axis === 2;
  return whole && (axis === 3 || axis === -1);
}
