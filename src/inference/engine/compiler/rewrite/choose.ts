// Choosing inside the graph, so that full logits leave it only for rows that need them.
//
//   scores [B,1,V] ─▶ [B, groups, size] ─▶ max of each group ─▶ the k best groups ─▶ their k·size scores ─▶ the k best ─▶ top.values, top.ids
//                 ├▶ If(want_logsumexp) ─▶ logsumexp                     (the k best scores lie in the k groups with the best maxima)
//                 └▶ Gather(full_rows) ─▶ logits [R,V]
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, type GraphProto } from "onnx-buf";
import type { GraphView } from "../../../onnx/graph.js";
import { node, valueInfo } from "../../../onnx/node.js";
import { integersConstant, lastAxis, numberConstant, reduceLast, reshape } from "../../../onnx/operators.js";
import { dataType, floatTensor } from "../../../onnx/tensor.js";

export interface Scores {
  /** Value [B,1,V]; its order is that of the logits. */
  readonly value: string;
  /** Positive factor [B,1,1] that turns scores into logits; applied after choosing. */
  readonly rowScale?: string | undefined;
}

const inputNames = { k: "top_k", rows: "full_rows", logSumExp: "want_logsumexp" } as const;

/**
 * Adds outputs in place of the logits [B,1,V] that the scores were taken from: top.values [B,k], top.ids [B,k] (best first, of equals the lowest id), logsumexp [B] (empty unless wanted),
 * logits [R,V]. New inputs: top_k int64 [1], at most V; full_rows int64 [R], may be empty; want_logsumexp bool [1].
 */
export function chooseHeads(view: GraphView, scores: Scores, vocabSize: number): void {
  view.inputs.set(inputNames.k, valueInfo(inputNames.k, dataType.INT64, [1]));
  view.inputs.set(inputNames.rows, valueInfo(inputNames.rows, dataType.INT64, ["R"]));
  view.inputs.set(inputNames.logSumExp, valueInfo(inputNames.logSumExp, dataType.BOOL, [1]));
  const factors = scores.rowScale === undefined ? undefined : reshape(view, scores.rowScale, [-1, 1]);
  const flat = reshape(view, scores.value, [-1, vocabSize]);
  const chosen = chooseByGroups(view, flat, vocabSize);
  const values = applyScale(view, chosen.values, factors);
  const wanted = view.add("Gather", [flat, inputNames.rows], { attributes: { axis: 0 } });
  const wantedFactors = factors && view.add("Gather", [factors, inputNames.rows], { attributes: { axis: 0 } });
  view.setOutput(valueInfo("top.values", dataType.FLOAT, ["B", "K"]), values);
  view.setOutput(valueInfo("top.ids", dataType.INT64, ["B", "K"]), chosen.ids);
  view.setOutput(valueInfo("logsumexp", dataType.FLOAT, ["L"]), logSumExp(view, flat, factors));
  view.setOutput(valueInfo("logits", dataType.FLOAT, ["R", vocabSize]), applyScale(view, wanted, wantedFactors));
}

function applyScale(view: GraphView, value: string, factors: string | undefined): string {
  return factors === undefined ? value : view.add("Mul", [value, factors]);
}

interface Chosen {
  readonly values: string;
  readonly ids: string;
}

function chooseByGroups(view: GraphView, flat: string, vocabSize: number): Chosen {
  const { size, count, padding } = groupsOf(vocabSize);
  const padded = padding === 0 ? flat : padWithLowest(view, flat, padding);
  const grouped = reshape(view, padded, [-1, count, size]);
  const groupCount = view.add("Min", [inputNames.k, integersConstant(view, [count])]);
  const best = topK(view, reduceLast(view, "ReduceMax", grouped, 0), groupCount, 1).indices;
  // In rising order, so that of equal scores the lowest id comes first, as TopK prefers earlier places.
  const groups = topK(view, best, groupCount, 0).values;
  const picks = view.add("Unsqueeze", [groups, integersConstant(view, [-1])]);
  const candidates = reshape(view, view.add("GatherND", [grouped, picks], { attributes: { batch_dims: 1 } }), [0, -1]);
  const { values, indices } = topK(view, candidates, inputNames.k, 1);
  const width = integersConstant(view, [size]);
  const slot = view.add("Div", [indices, width]);
  const group = view.add("GatherElements", [groups, slot], { attributes: { axis: 1 } });
  const ids = view.add("Add", [view.add("Mul", [group, width]), view.add("Mod", [indices, width])]);
  return { values, ids };
}

function topK(view: GraphView, value: string, k: string, largest: 0 | 1): { values: string; indices: string } {
  const [values, indices] = [view.fresh("TopK"), view.fresh("TopK")];
  const attributes = { axis: -1, largest, sorted: 1 };
  view.insert(node({ op: "TopK", inputs: [value, k], outputs: [values, indices], attributes }));
  return { values, indices };
}

/** Groups of about 160 ids: a divisor of the vocabulary needs no padding, which would copy all scores. */
export function groupsOf(vocabSize: number): { size: number; count: number; padding: number } {
  const near = 160;
  const divisors = Array.from({ length: 512 - 31 }, (_, index) => index + 32).filter((size) => vocabSize % size === 0);
  const [first, ...others] = divisors;
  if (first === undefined) {
    const count = Math.ceil(vocabSize / near);
    return { size: near, count, padding: count * near - vocabSize };
  }
  const distance = (size: number): number => Math.abs(Math.log(size / near));
  const size = others.reduce((best, next) => (distance(next) < distance(best) ? next : best), first);
  return { size, count: vocabSize / size, padding: 0 };
}

function padWithLowest(view: GraphView, flat: string, padding: number): string {
  return view.add("Pad", [flat, integersConstant(view, [0, 0, 0, padding]), numberConstant(view, -3.4e38)]);
}

// max − max(LogSoftmax): several times faster here than ReduceLogSumExp, and skipped unless a row wants log-probabilities.
function logSumExp(view: GraphView, flat: string, factors: string | undefined): string {
  const branches = { then_branch: { graph: wantedBranch(view, flat, factors) }, else_branch: { graph: emptyBranch() } };
  return view.add("If", [inputNames.logSumExp], { attributes: branches });
}

function wantedBranch(view: GraphView, flat: string, factors: string | undefined): GraphProto {
  const logits = factors === undefined ? flat : "lse.logits";
  const scale = factors === undefined ? [] : [node({ op: "Mul", inputs: [flat, factors], outputs: [logits] })];
  const { inputs, attributes } = lastAxis(view, "ReduceMax", "", 0);
  const max = (value: string, output: string): ReturnType<typeof node> =>
    node({ op: "ReduceMax", inputs: [value, ...inputs.slice(1)], outputs: [output], attributes });
  return create(GraphProtoSchema, {
    name: "logsumexp",
    node: [
      ...scale,
      max(logits, "lse.max"),
      node({ op: "LogSoftmax", inputs: [logits], outputs: ["lse.softmax"], attributes: { axis: -1 } }),
      max("lse.softmax", "lse.best"),
      node({ op: "Sub", inputs: ["lse.max", "lse.best"], outputs: ["lse.wanted"] }),
    ],
    output: [valueInfo("lse.wanted", dataType.FLOAT, ["L"])],
  });
}

function emptyBranch(): GraphProto {
  return create(GraphProtoSchema, {
    name: "nothing",
    initializer: [floatTensor("lse.nothing", [0], [])],
    node: [node({ op: "Identity", inputs: ["lse.nothing"], outputs: ["lse.none"] })],
    output: [valueInfo("lse.none", dataType.FLOAT, ["L"])],
  });
}
