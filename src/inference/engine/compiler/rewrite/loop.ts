// A graph that makes several steps in one run: the nodes of one step become the body of an ONNX Loop, its weights stay outside.
//
//   steps, first.x, what stays the same ─▶ Loop [ x ─▶ one step ─▶ next.x, what each step shows ]  ─▶ each step's, stacked along a new first axis
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, type ModelProto, type ValueInfoProto } from "onnx-buf";
import type { GraphView } from "../../../onnx/graph.js";
import { describeValue, node, valueInfo } from "../../../onnx/node.js";
import { integersConstant, reduceLast } from "../../../onnx/operators.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType } from "../../../onnx/tensor.js";

/** Inside the body: number of the step, from 0. */
export const stepNumber = "loop.step";
/** Inputs of a looped graph beside those of the step. */
export const loopInputs = { steps: "loop.steps", ends: "loop.ends", alive: "first.alive" } as const;

/** Name by which the run is given what its first step consumes. */
export function firstOf(input: string): string {
  return `first.${input}`;
}

/** Name by which the run shows what its last step handed on. */
export function lastOf(input: string): string {
  return `last.${input}`;
}

/** Name by which the run shows what each step made. */
export function eachOf(output: string): string {
  return `each.${output}`;
}

/** Output of a looped graph: [steps, B, 1] ids. */
export const chosenIds = eachOf("ids");

const alive = "loop.alive";
const going = "loop.going";

/** Declares what the body is given besides the inputs of a step. Call before the body is built on. */
export function openLoop(view: GraphView): void {
  view.inputs.set(stepNumber, valueInfo(stepNumber, dataType.INT64, []));
  view.inputs.set(alive, valueInfo(alive, dataType.BOOL, ["B"]));
  view.inputs.set(loopInputs.ends, valueInfo(loopInputs.ends, dataType.INT64, ["B", "E"]));
}

/** In place of an id where a row's scores are not numbers. It ends the row: `ends` are padded with it. */
export const noId = -1;

/** Value [B,1] of the best id of each row; the lowest among equals, as everywhere. `flat` is [B,V] of floats. */
export function bestIds(view: GraphView, flat: string): string {
  const best = view.add("ArgMax", [flat], { attributes: { axis: -1, keepdims: 1, select_last_index: 0 } });
  // A NaN has spread to every score by the last product: one score tells.
  const first = view.add("Gather", [flat, integersConstant(view, [0])], { attributes: { axis: 1 } });
  return view.add("Where", [view.add("IsNaN", [first]), integersConstant(view, [noId]), best]);
}

export interface LoopPlan {
  /** What a step hands to the next: the body's input, and the value that follows it. */
  readonly carried: readonly { readonly input: string; readonly next: string }[];
  /** Of these inputs, those whose last values the run shows, as last.<input>. */
  readonly last?: readonly string[];
  /** Values of a step that the run shows, by name. */
  readonly each: readonly { readonly name: string; readonly value: string }[];
  /** Value [B,1]: a row is done once it is one of the row's `ends`, and the run once all rows are. */
  readonly ids: string;
}

/**
 * Inputs: steps int64 [], first.alive bool [B], first.x of each carried x, ends int64 [B,E], and the step's other inputs.
 * Outputs: each.ids int64 [steps,B,1] and each.<name>, with the steps made as first axis. `view` is consumed.
 */
export function loopModel(view: GraphView, plan: LoopPlan): ModelProto {
  const carried = [{ input: alive, next: stillAlive(view, plan.ids) }, ...plan.carried];
  const inputs = carried.map(({ input }) => inputInfo(view, input));
  const isGoing = anyOf(view, carried[0]?.next ?? "");
  const kinds = plan.each.map(({ value }) => unshaped(view.outputs.get(value) ?? valueInfo("", dataType.FLOAT, [])));
  view.outputs.clear();
  const nowIds = valueInfo("now.ids", dataType.INT64, ["B", 1]);
  view.setOutput(nowIds, view.add("Identity", [plan.ids]));
  const shown = (info: ValueInfoProto, value: string): ValueInfoProto => {
    view.setOutput(info, value);
    return info;
  };
  const outputs = [
    shown(valueInfo(going, dataType.BOOL, []), isGoing),
    ...carried.map(({ input, next }, k) => shown(renamed(inputs[k] as ValueInfoProto, `next.${input}`), next)),
    nowIds,
    ...plan.each.map(({ name, value }, k) => shown(renamed(kinds[k] as ValueInfoProto, `now.${name}`), value)),
  ];
  return outerModel(view, plan.last ?? [], inputs, outputs);
}

/** What only the last step shows is `last`. */
function outerModel(
  view: GraphView,
  last: readonly string[],
  inputs: readonly ValueInfoProto[],
  outputs: readonly ValueInfoProto[],
): ModelProto {
  const whole = view.toModel("body");
  const { graph } = whole;
  if (graph === undefined) return whole;
  const carried = inputs.map(({ name }) => name);
  const isInside = (name: string) => name === stepNumber || carried.includes(name);
  const goesIn = valueInfo("loop.goes", dataType.BOOL, []);
  const body = create(GraphProtoSchema, {
    name: "step",
    node: graph.node,
    input: [valueInfo(stepNumber, dataType.INT64, []), goesIn, ...inputs],
    output: [...outputs],
  });
  const shown = outputs.slice(1 + carried.length).map((info) => renamed(info, eachOf(info.name.slice("now.".length))));
  const loop = node({
    op: "Loop",
    inputs: [loopInputs.steps, "", ...carried.map(firstInput)],
    outputs: [...carried.map(lastOf), ...shown.map(({ name }) => name)],
    attributes: { body: { graph: body } },
  });
  const outer = create(GraphProtoSchema, {
    name: "steps",
    node: [loop],
    initializer: graph.initializer,
    input: [
      valueInfo(loopInputs.steps, dataType.INT64, []),
      ...inputs.map((info, k) => renamed(info, firstInput(carried[k] ?? ""))),
      ...graph.input.filter(({ name }) => !isInside(name)),
    ],
    output: [
      ...shown.map((info) => unshaped(info)),
      ...inputs.flatMap((info) => (last.includes(info.name) ? renamed(info, lastOf(info.name)) : [])),
    ],
  });
  return create(ModelProtoSchema, { ...whole, graph: outer });
}

function firstInput(input: string): string {
  return input === alive ? loopInputs.alive : firstOf(input);
}

function stillAlive(view: GraphView, ids: string): string {
  const is = view.add("Equal", [ids, loopInputs.ends]);
  return view.add("And", [alive, view.add("Not", [anyOf(view, is)])]);
}

/** Whether any along the last axis is true; the axis goes. */
function anyOf(view: GraphView, value: string): string {
  const numbers = view.add("Cast", [value], { attributes: { to: dataType.INT32 } });
  return view.add("Cast", [reduceLast(view, "ReduceMax", numbers, 0)], { attributes: { to: dataType.BOOL } });
}

function inputInfo(view: GraphView, input: string): ValueInfoProto {
  const info = view.inputs.get(input);
  if (info === undefined) throw new PatternMissing(`there is no input ${input}`, input);
  return info;
}

function renamed({ type }: ValueInfoProto, name: string): ValueInfoProto {
  return Object.assign(valueInfo(name, 0, []), type === undefined ? {} : { type });
}

// The first axis is new, and its size known when the run is over.
function unshaped(info: ValueInfoProto): ValueInfoProto {
  const { elemType } = describeValue(info);
  const shapeless = valueInfo(info.name, elemType, []);
  if (shapeless.type?.value.case === "tensorType") delete shapeless.type.value.value.shape;
  return shapeless;
}
