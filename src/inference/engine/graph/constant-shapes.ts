// A step handles one id per row, so most shapes that the stock graph computes at every step are known: about ten small nodes per layer go.
//
//   Shape(hidden) ─▶ Gather ─▶ Unsqueeze ─▶ Concat(batch, length, heads, size) ─▶ Reshape      becomes      Reshape(·, [0, 1, heads, size])
//   Shape(cross key) ─▶ … ─▶ Slice(mask)                                                     becomes      mask
import type { NodeProto } from "onnx-buf";
import { ancestors } from "./chain.js";
import type { GraphView } from "./graph.js";
import { intAttribute, intsAttribute } from "./node.js";
import { integersConstant } from "./operators.js";

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
  const parts = shape.input.map((name, index) => sizes(view, name, index));
  const dims = parts.every((part) => part !== undefined) ? parts.flat() : undefined;
  if (dims !== undefined) view.setInput(reshape, 1, integersConstant(view, dims));
}

// 0 in a Reshape copies the size at that place: the batch, which comes first before and after.
function sizes(view: GraphView, value: string, index: number): number[] | undefined {
  const known = view.integers(value);
  if (known !== undefined) return known;
  const axis = axisOfHidden(view, value);
  if (axis === 1) return [1];
  return axis === 0 && index === 0 ? [0] : undefined;
}

// Unsqueeze(Gather(Shape(hidden), axis)) for a hidden value [B,1,width] or input_ids [B,1].
function axisOfHidden(view: GraphView, value: string): number | undefined {
  const unsqueeze = view.producer(value);
  if (unsqueeze?.opType !== "Unsqueeze") return undefined;
  const gather = view.producer(unsqueeze.input[0] ?? "");
  if (gather?.opType !== "Gather") return undefined;
  const shape = view.producer(gather.input[0] ?? "");
  if (shape?.opType !== "Shape" || !isHidden(view, shape.input[0] ?? "")) return undefined;
  return view.scalar(gather.input[1] ?? "");
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
  const [source = ""] = transpose.input;
  const output = transpose.output[0] ?? "";
  const before = view.producer(source);
  const dims = before?.opType === "Reshape" ? view.integers(before.input[1] ?? "") : undefined;
  if (before !== undefined && dims?.length === 4 && (dims[1] === 1 || dims[1] === -1)) {
    const [batch = 0, , heads = 0, size = 0] = dims;
    view.remove(transpose);
    view.add("Reshape", [before.input[0] ?? "", integersConstant(view, [batch, heads, 1, size])], { name: output });
    return;
  }
  const readers = view.readers(output);
  const flattens = (reader: NodeProto): boolean =>
    reader.opType === "Reshape" && view.integers(reader.input[1] ?? "")?.length === 3;
  if (readers.length > 0 && readers.every(flattens)) view.replaceUses(output, source);
}

// Cuts the mask to the source width, which it has already: it is made from encoder_attention_mask [B,S].
function dropWholeSlice(view: GraphView, slice: NodeProto): void {
  const [data = "", starts = "", ends = "", axes = "", steps = ""] = slice.input;
  const whole = view.scalar(starts) === 0 && (steps === "" || view.scalar(steps) === 1);
  const axis = view.scalar(axes);
  if (!whole || (axis !== 3 && axis !== -1) || !isSourceWidth(view, ends)) return;
  const fromMask = ancestors(view, data).some((maker) => maker.input.includes("encoder_attention_mask"));
  const fromCaches = ancestors(view, data).some((maker) =>
    maker.input.some((name) => name.startsWith("past_key_values.")),
  );
  if (fromMask && !fromCaches) view.replaceUses(slice.output[0] ?? "", data);
}

// Unsqueeze(Gather(Shape(past_key_values.i.encoder.key), 2))
function isSourceWidth(view: GraphView, value: string): boolean {
  const gather = view.producer(view.producer(value)?.input[0] ?? "");
  const shape = view.producer(gather?.input[0] ?? "");
  const isCross = /^past_key_values\.\d+\.encoder\.key$/.test(shape?.input[0] ?? "");
  return (
    gather?.opType === "Gather" && shape?.opType === "Shape" && isCross && view.scalar(gather.input[1] ?? "") === 2
  );
}
