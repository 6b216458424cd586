// decoder_model_merged.onnx holds two decoders in one If. Each branch becomes a flat graph again, as if it had been exported by itself.
//
//   weights ─┐                                    weights ─▶ branch nodes ─▶ outputs
//            ▼                           ──▶
//   use_cache_branch ─▶ If{then, else} ─▶ outputs
import type { GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { GraphView } from "../../onnx/graph.js";
import { copyNode, findAttribute, node } from "../../onnx/node.js";
import { PatternMissing } from "../../onnx/pattern.js";

const cacheSwitch = "use_cache_branch";

export type Branch = "then_branch" | "else_branch";

export function isMerged(model: ModelProto): boolean {
  return model.graph?.input.some((info) => info.name === cacheSwitch) ?? false;
}

/** The decoder with past (then) or without (else). Throws PatternMissing where the switch leads elsewhere. */
export function hoistBranch(model: ModelProto, branch: Branch): GraphView {
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
