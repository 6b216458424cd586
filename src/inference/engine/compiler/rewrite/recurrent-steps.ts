// Several greedy steps of a recurrent decoder in one run: its own graph is the body, states and feed go round, the best id becomes the next input.
import type { ModelProto, ValueInfoProto } from "onnx-buf";
import type { GraphView } from "../../../onnx/graph.js";
import { bestIds, loopModel, openLoop } from "./loop.js";
import { describeValue } from "../../../onnx/node.js";
import { integersConstant, reshape } from "../../../onnx/operators.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType, rawTensor } from "../../../onnx/tensor.js";

export interface RecurrentParts {
  /** Input of the ids, or of their one-hot rows. */
  readonly ids: string;
  readonly isOneHot: boolean;
  /** Ids are [1, B]. */
  readonly isTimeFirst: boolean;
  /** Output of the logits or log-probabilities. */
  readonly scores: string;
  readonly vocabSize: number;
  /** What goes round, states and feed. */
  readonly carried: readonly { readonly input: string; readonly output: string }[];
}

/** `view` is consumed. */
export function recurrentSteps(view: GraphView, parts: RecurrentParts): ModelProto {
  openLoop(view);
  const scores = view.add("Cast", [parts.scores], { attributes: { to: dataType.FLOAT } });
  const ids = bestIds(view, reshape(view, scores, [-1, parts.vocabSize]));
  const carried = parts.carried.map(({ input, output }) => ({ input, next: asInput(view, input, output) }));
  return loopModel(view, {
    carried: [{ input: parts.ids, next: nextIds(view, ids, parts) }, ...carried],
    last: parts.carried.map(({ input }) => input),
    each: [],
    ids,
  });
}

function asInput(view: GraphView, input: string, value: string): string {
  const made = view.outputs.get(value);
  if (made !== undefined && describeValue(made).elemType === infoOf(view, input).elemType) return value;
  return view.add("Cast", [value], { attributes: { to: infoOf(view, input).elemType } });
}

function nextIds(
  view: GraphView,
  ids: string,
  { ids: input, isOneHot, isTimeFirst, vocabSize }: RecurrentParts,
): string {
  const { dims } = infoOf(view, input);
  const isFlat = dims.length === (isOneHot ? 2 : 1);
  const shaped = isFlat ? reshape(view, ids, [-1]) : isTimeFirst ? reshape(view, ids, [1, -1]) : ids;
  if (!isOneHot) return asInput(view, input, shaped);
  const depth = integersConstant(view, [dims.at(-1) ?? vocabSize]);
  const marks = view.addConstant(rawTensor("loop.marks", dataType.FLOAT, [2], Float32Array.of(0, 1)));
  return asInput(view, input, view.add("OneHot", [shaped, depth, marks], { attributes: { axis: -1 } }));
}

function infoOf(view: GraphView, input: string): { elemType: number; dims: (number | undefined)[] } {
  const info: ValueInfoProto | undefined = view.inputs.get(input);
  if (info === undefined) throw new PatternMissing(`there is no input ${input}`, input);
  return describeValue(info);
}
