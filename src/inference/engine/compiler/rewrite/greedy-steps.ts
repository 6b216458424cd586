// Several greedy steps of a compiled transformer in one run: each step's id is chosen inside, its K/V go to the row's own column of the past.
//
//   body: input_ids, past ─▶ step ─▶ best id ─▶ the next input_ids        new.i.key ─▶ ScatterND(past, row, head, age + step) ─▶ the next past
//                                        └▶ each.ids                          └▶ each.new.i.key: what the host appends to its caches
//
// A step reads the past as the one-step graph does, in the same columns and widths, so its sums are taken in the same order.
import type { ModelProto } from "onnx-buf";
import type { Scores } from "./choose.js";
import type { GraphView } from "../../../onnx/graph.js";
import { bestIds, loopModel, openLoop, stepNumber } from "./loop.js";
import { valueInfo } from "../../../onnx/node.js";
import { integersConstant, reshape } from "../../../onnx/operators.js";
import { positionIds, type PositionRule } from "./positions.js";
import { dataType } from "../../../onnx/tensor.js";
import { selfBias, type CacheShape } from "./two-part-attention.js";
import { cacheNames } from "../description.js";

/** Inputs in place of the step's self_bias and position_ids. */
export const greedyInputs = {
  /** float32 [steps, B, 1|H, 1, P+1] */
  biases: "self_biases",
  /** int64 [B,1]: where the first step's id stands if it is no pad id. */
  positions: "first_positions",
  /** int64 [B,H,1,3]: row, head and column of what the first step adds to the past. */
  slots: "slots",
} as const;

export interface GreedyParts {
  readonly shape: CacheShape;
  readonly scores: Scores;
  readonly vocabSize: number;
  readonly positions: PositionRule | undefined;
  readonly biasHeads: number;
}

/** `view` is a step graph whose scores were taken; it is consumed. */
export function greedySteps(
  view: GraphView,
  { shape, scores, vocabSize, positions, biasHeads }: GreedyParts,
): ModelProto {
  openLoop(view);
  const ids = bestIds(view, reshape(view, scores.value, [-1, vocabSize]));
  biasOfStep(view, biasHeads);
  if (positions !== undefined) positionsOfStep(view, positions);
  const names = cacheNames(shape.layers);
  view.inputs.set(greedyInputs.slots, valueInfo(greedyInputs.slots, dataType.INT64, ["B", shape.heads, 1, 3]));
  const forward = view.add("Mul", [stepNumber, integersConstant(view, [0, 0, 1])]);
  const slots = view.add("Add", [greedyInputs.slots, forward]);
  const pasts = names.map((name) => ({
    input: `past.${name}`,
    next: view.add("ScatterND", [`past.${name}`, slots, `new.${name}`]),
  }));
  return loopModel(view, {
    carried: [{ input: "input_ids", next: ids }, ...pasts],
    each: names.map((name) => ({ name: `new.${name}`, value: `new.${name}` })),
    ids,
  });
}

function biasOfStep(view: GraphView, heads: number): void {
  const { biases } = greedyInputs;
  view.inputs.delete(selfBias);
  view.inputs.set(biases, valueInfo(biases, dataType.FLOAT, ["steps", "B", heads, 1, "P1"]));
  view.replaceUses(selfBias, view.add("Gather", [biases, stepNumber], { attributes: { axis: 0 } }));
}

function positionsOfStep(view: GraphView, { pad }: PositionRule): void {
  const { positions } = greedyInputs;
  view.inputs.delete(positionIds);
  view.inputs.set(positions, valueInfo(positions, dataType.INT64, ["B", 1]));
  const behind = view.add("Add", [positions, stepNumber]);
  view.replaceUses(positionIds, pad === undefined ? behind : padAside(view, behind, pad));
}

function padAside(view: GraphView, position: string, pad: NonNullable<PositionRule["pad"]>): string {
  const isPad = view.add("Equal", ["input_ids", integersConstant(view, [pad.id])]);
  return view.add("Where", [isPad, integersConstant(view, [pad.position]), position]);
}
