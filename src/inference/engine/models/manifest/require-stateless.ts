// The roles of a decoder without a cache held against its graph, and what the graph itself says of widths, orders and elements.
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import type { SourcePlan, StatelessPlan } from "../../../protocol/plan.js";
import { flags, floats, integers, requireKind, requireTensors, type WantedTypes } from "./require-tensors.js";
import { declaredTimeFirst } from "./time-first.js";

/** Throws one line that names file, role, tensor, expected and found; returns the targets' input. */
export function requireDecoder(decoder: OnnxSession, { encoder, decoder: plan }: StatelessPlan): TensorInfo {
  const { targets, source, memory, mask } = plan.inputs;
  requireTensors(decoder, "decoder", plan);
  requireKind(decoder, "decoder.inputs.targets", decoder.input(targets), { ranks: [2], types: integers });
  requireKind(decoder, "decoder.inputs.source", decoder.input(source ?? ""), { ranks: [2], types: integers });
  requireKind(decoder, "decoder.inputs.mask", decoder.input(mask ?? ""), { ranks: [2, 3, 4], types: flags });
  requireKind(decoder, "decoder.outputs.scores", decoder.output(plan.outputs.scores), { ranks: [2, 3], types: floats });
  if (memory !== null && (encoder?.outputs.memory ?? null) === null)
    throw new Error(
      `${decoder.file}: decoder.inputs.memory "${memory}": expected encoder.outputs.memory beside it, found none`,
    );
  if (encoder === null && source === null)
    throw new Error(`${decoder.file}: expected decoder.inputs.source, as there is no encoder, found none`);
  const info = decoder.input(targets);
  if (info === undefined) throw new Error(`${decoder.file}: no input "${targets}"`);
  return info;
}

/** The memory and the source have the batch, but not the targets' time; null when names don't tell. */
export function declaredOrder(decoder: OnnxSession, { decoder: { inputs } }: StatelessPlan): boolean | null {
  const kin = [inputs.memory, inputs.source, inputs.mask].map((name) => decoder.input(name ?? ""));
  return declaredTimeFirst(decoder.input(inputs.targets), kin, "batch");
}

/** A single graph may itself fix the width of its sources. */
export function sourceOf(
  { source, decoder: { inputs } }: StatelessPlan,
  decoder: OnnxSession,
  isTimeFirst: boolean,
): SourcePlan {
  const width = decoder.input(inputs.source ?? "")?.dims[isTimeFirst ? 0 : 1];
  return { ...source, padTo: source.padTo ?? (typeof width === "number" ? width : null) };
}

export function memoryTypes(memory: string | null, type: string | undefined): WantedTypes {
  return memory === null || type === undefined ? {} : { [memory]: type };
}
