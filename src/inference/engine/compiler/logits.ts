// Between the last product and the output logits: what can go, and what can wait until after the choice.
import type { GraphView } from "../../onnx/graph.js";
import type { Int8Products } from "./rewrite/int8.js";
import type { Scores } from "./rewrite/choose.js";
import { floatsOf, dataType } from "../../onnx/tensor.js";

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
