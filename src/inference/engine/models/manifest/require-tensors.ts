// Holds a manifest's roles against what its graphs really have: one message with file, role, expected and found. And reads what the graphs themselves
// say of orders, widths and element types.
import type { EncoderPlan, RecurrentPlan, SourcePlan, StatelessPlan } from "../../../protocol/plan.js";
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import { declaredTimeFirst } from "./time-first.js";

type Roles = Readonly<Record<string, string | null | readonly string[]>>;

export interface NamedTensors {
  readonly inputs: Roles;
  readonly outputs: Roles;
}

export interface TensorKind {
  readonly ranks: readonly number[];
  readonly types: readonly string[];
}

const integers = ["int64", "int32", "float32", "float64", "float16"];
const floats = ["float32", "float16", "float64"];
const flags = ["int64", "int32", "float32", "float16", "float64", "bool", "uint8"];

/** Element types that the decoder declares, by the encoder's output name. */
export type WantedTypes = Readonly<Record<string, string>>;

/** Throws when a named tensor is not in the graph, or an input of the graph has no role. `part` is encoder or decoder. */
export function requireTensors(session: OnnxSession, part: string, named: NamedTensors): void {
  requireNames(session, part, "inputs", named.inputs);
  requireNames(session, part, "outputs", named.outputs);
  const fed = new Set(Object.values(named.inputs).flat());
  const unfed = session.inputs.find((info) => !fed.has(info.name));
  if (unfed === undefined) return;
  throw new Error(
    `${session.file}: expected a role in ${part}.inputs for "${unfed.name}" (${describeTensor(unfed)}), found none`,
  );
}

/** Throws when both or neither of two roles is given. */
export function requireOneOf(session: OnnxSession, part: string, ids: string | null, onehot: string | null): void {
  if ((ids === null) !== (onehot === null)) return;
  const found = ids === null ? "neither" : "both";
  throw new Error(`${session.file}: expected ${part}.inputs.ids or ${part}.inputs.onehot, found ${found}`);
}

/** Throws when a tensor has not one of these ranks (a graph may tell none) or is not one of these types. */
function requireKind(session: OnnxSession, role: string, info: TensorInfo | undefined, kind: TensorKind): void {
  if (info === undefined) return;
  const { ranks, types } = kind;
  if (types.includes(info.type) && [...ranks, 0].includes(info.dims.length)) return;
  const expected = `${types.join(" or ")} of ${ranks.join(" or ")} axes`;
  throw new Error(`${session.file}: ${role} "${info.name}": expected ${expected}, found ${describeTensor(info)}`);
}

/** float32 [B, 3] */
export function describeTensor({ type, dims }: TensorInfo): string {
  return `${type} [${dims.join(", ")}]`;
}

function requireNames(session: OnnxSession, part: string, side: "inputs" | "outputs", roles: Roles): void {
  const found = session[side].map((info) => info.name);
  for (const [role, names] of Object.entries(roles)) {
    for (const name of [names].flat()) {
      if (typeof name !== "string" || found.includes(name) || role === "scoresAre") continue;
      const where = `${session.file}: ${part}.${side}.${role}`;
      throw new Error(`${where}: expected a tensor "${name}", found ${found.map((other) => `"${other}"`).join(", ")}`);
    }
  }
}

export function requireEncoderKinds(session: OnnxSession, { inputs }: EncoderPlan): void {
  const { ids, onehot, mask, lengths } = inputs;
  requireKind(session, "encoder.inputs.ids", session.input(ids ?? ""), { ranks: [2], types: integers });
  requireKind(session, "encoder.inputs.onehot", session.input(onehot ?? ""), { ranks: [3], types: flags });
  requireKind(session, "encoder.inputs.mask", session.input(mask ?? ""), { ranks: [2, 3, 4], types: flags });
  requireKind(session, "encoder.inputs.lengths", session.input(lengths ?? ""), { ranks: [1], types: integers });
}

/** Throws when one-hot rows are narrower than the vocabulary. */
export function requireDepth(file: string, onehot: string, depth: number, vocabSize: number): void {
  if (vocabSize <= depth) return;
  const expected = `expected at least ${vocabSize} wide as source.vocab has it`;
  throw new Error(`${file}: encoder.inputs.onehot "${onehot}": ${expected}, found ${depth}`);
}

/** Of a recurrent decoder. Throws one line that names file, role, tensor, expected and found; returns the token input. */
export function requireRecurrentDecoder(decoder: OnnxSession, { encoder, decoder: plan }: RecurrentPlan): TensorInfo {
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
export function declaredRecurrentOrder(decoder: OnnxSession, { decoder: { inputs } }: RecurrentPlan): boolean | null {
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

/** Of a decoder without a cache. Throws one line that names file, role, tensor, expected and found; returns the targets' input. */
export function requireStatelessDecoder(decoder: OnnxSession, { encoder, decoder: plan }: StatelessPlan): TensorInfo {
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
export function declaredStatelessOrder(decoder: OnnxSession, { decoder: { inputs } }: StatelessPlan): boolean | null {
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
