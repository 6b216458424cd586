// The encode graph: the encoder, joined with what the decoder computes of its result once: the cross-attention keys and values of every layer.
//
//   input_ids, attention_mask ─▶ encoder ─▶ encoder_hidden_states ─┬▶ ·Wk + b ─▶ Reshape ─▶ Transpose ─▶ cross.0.key
//                                                                  └▶ ·Wv + b ─▶ Reshape ─▶ Transpose ─▶ cross.0.value …
import type { ModelProto, NodeProto, ValueInfoProto } from "onnx-buf";
import { ancestors } from "../../../onnx/chain.js";
import { GraphView } from "../../../onnx/graph.js";
import { copyNode, describeValue, valueInfo } from "../../../onnx/node.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType, int64Tensor, renamedTensor } from "../../../onnx/tensor.js";
import type { CacheShape } from "./two-part-attention.js";

const hiddenStates = "encoder_hidden_states";
const fromEncoder = "encoder/";

/** `firstStep` is the decoder without past; it is consumed. In: input_ids, attention_mask [B,S]. Out: cross.i.key/value [B,H,S,D]. */
export function encodeGraph(encoder: ModelProto, firstStep: GraphView, shape: CacheShape): GraphView {
  const view = firstStep;
  const type = keepCrossOutputs(view, shape);
  for (const name of view.outputs.keys()) fixReshape(view, name, shape);
  view.prune();
  checkInputs(view);
  joinEncoder(view, new GraphView(encoder));
  for (const info of view.outputs.values()) view.outputs.set(info.name, valueInfo(info.name, type, crossDims(shape)));
  return view;
}

function crossDims(shape: CacheShape): (string | number)[] {
  return ["B", shape.heads, "S", shape.headDim];
}

function keepCrossOutputs(view: GraphView, shape: CacheShape): number {
  const outputs = new Map(view.outputs);
  const names = [...outputs.keys()];
  for (const name of names) view.outputs.delete(name);
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const part of ["key", "value"]) {
      const before = `present.${layer}.encoder.${part}`;
      if (!names.includes(before)) throw new PatternMissing(`the decoder without past has no output ${before}`, before);
      if (isHalf(outputs.get(before))) throw new PatternMissing(`the files hand out half precision`, before);
      view.setOutput(valueInfo(`cross.${layer}.${part}`, dataType.FLOAT, crossDims(shape)), before);
    }
  }
  return dataType.FLOAT;
}

function isHalf(info: ValueInfoProto | undefined): boolean {
  return info !== undefined && describeValue(info).elemType === dataType.FLOAT16;
}

// The stock shape is computed from sizes of other values, which would keep half of the decoder alive.
function fixReshape(view: GraphView, output: string, shape: CacheShape): void {
  const reshape = ancestors(view, output, (maker) => maker.opType === "Reshape").find(
    (maker) => maker.opType === "Reshape",
  );
  if (reshape === undefined) throw new PatternMissing(`${output} does not come from a Reshape into heads`, output);
  const dims = [0, 0, shape.heads, shape.headDim];
  view.setInput(reshape, 1, view.addConstant(int64Tensor(`cross.shape`, [4], dims)));
}

function checkInputs(view: GraphView): void {
  const needed = view.needed();
  const other = [...view.inputs.keys()].find((name) => needed.has(name) && name !== hiddenStates);
  if (other !== undefined) throw new PatternMissing(`cross-attention keys depend on ${other}`, other);
  if (!view.inputs.has(hiddenStates))
    throw new PatternMissing(`the decoder has no input ${hiddenStates}`, hiddenStates);
}

// Both graphs name values as they please: everything of the encoder gets a prefix, except what the caller feeds.
function joinEncoder(view: GraphView, encoder: GraphView): void {
  const [states] = encoder.outputs.keys();
  const result = encoder.outputs.has("last_hidden_state") ? "last_hidden_state" : states;
  if (result === undefined) throw new PatternMissing("the encoder has no output", "");
  const rename = (name: string): string => (name === "" || encoder.inputs.has(name) ? name : fromEncoder + name);
  view.inputs.clear();
  for (const [name, info] of encoder.inputs) view.inputs.set(name, info);
  for (const tensor of encoder.initializers.values()) view.addConstant(renamedTensor(tensor, rename(tensor.name)));
  for (const original of encoder.nodes) view.insert(renameWires(original, rename));
  view.replaceUses(hiddenStates, rename(result));
}

function renameWires(original: NodeProto, rename: (name: string) => string): NodeProto {
  const copy = copyNode(original);
  const graph = copy.attribute.find((held) => held.g !== undefined);
  if (graph !== undefined)
    throw new PatternMissing(`${original.opType} of the encoder holds a graph of its own`, original.name);
  copy.input = copy.input.map(rename);
  copy.output = copy.output.map(rename);
  return copy;
}
