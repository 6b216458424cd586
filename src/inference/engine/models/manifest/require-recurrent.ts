// A recurrent decoder's roles held against its graph, and what the graph itself says of its tokens' order and of the elements it takes.
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import type { RecurrentPlan } from "../../../protocol/plan.js";
import {
  flags,
  floats,
  integers,
  requireKind,
  requireOneOf,
  requireTensors,
  type WantedTypes,
} from "./require-tensors.js";
import { declaredTimeFirst } from "./time-first.js";

/** Throws one line that names file, role, tensor, expected and found; returns the token input. */
export function requireDecoder(decoder: OnnxSession, { encoder, decoder: plan }: RecurrentPlan): TensorInfo {
  const { ids, onehot, memory, mask, states, feed } = plan.inputs;
  requireOneOf(decoder, "decoder", ids, onehot);
  requireTensors(decoder, "decoder", plan);
  requireKind(decoder, "decoder.inputs.ids", decoder.input(ids ?? ""), { ranks: [1, 2], types: integers });
  requireKind(decoder, "decoder.inputs.onehot", decoder.input(onehot ?? ""), { ranks: [2, 3], types: flags });
  requireKind(decoder, "decoder.inputs.mask", decoder.input(mask ?? ""), { ranks: [2, 3, 4], types: flags });
  requireKind(decoder, "decoder.outputs.scores", decoder.output(plan.outputs.scores), { ranks: [2, 3], types: floats });
  requireKind(decoder, "decoder.outputs.attention", decoder.output(plan.outputs.attention ?? ""), {
    ranks: [2, 3, 4],
    types: floats,
  });
  requirePairs(decoder.file, "states", states, plan.outputs.states);
  requirePairs(decoder.file, "feed", feed, plan.outputs.feed);
  if (memory !== null && encoder.outputs.memory === null)
    throw new Error(
      `${decoder.file}: decoder.inputs.memory "${memory}": expected encoder.outputs.memory beside it, found none`,
    );
  const info = decoder.input(ids ?? onehot ?? "");
  if (info === undefined) throw new Error(`${decoder.file}: no input for the last token`);
  return info;
}

/** States have a batch and no time; null when names don't tell. */
export function declaredOrder(decoder: OnnxSession, { decoder: { inputs } }: RecurrentPlan): boolean | null {
  const kin = [...inputs.states, ...inputs.feed].map((name) => decoder.input(name));
  const tokens = decoder.input(inputs.ids ?? inputs.onehot ?? "");
  if (inputs.onehot !== null && tokens?.dims.length === 2) return false;
  const isFixed = kin.length > 0 && kin.every((info) => info?.dims.every((dim) => typeof dim === "number"));
  return declaredTimeFirst(tokens, kin, isFixed ? "batch" : "time");
}

function requirePairs(file: string, role: string, inputs: readonly string[], outputs: readonly string[]): void {
  if (inputs.length === outputs.length) return;
  throw new Error(
    `${file}: decoder.outputs.${role}: expected ${inputs.length} as decoder.inputs.${role} has, found ${outputs.length}`,
  );
}

/** Element types by the encoder's output name. */
export function wantedTypes({ encoder, decoder: plan }: RecurrentPlan, decoder: OnnxSession): WantedTypes {
  const pairs = [
    [encoder.outputs.memory, plan.inputs.memory],
    ...encoder.outputs.states.map((name, k) => [name, plan.inputs.states[k]]),
  ];
  return Object.fromEntries(
    pairs.flatMap(([from, to]) => {
      const type = decoder.input(to ?? "")?.type;
      return typeof from === "string" && type !== undefined ? [[from, type] as const] : [];
    }),
  );
}
