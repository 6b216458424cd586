// Holds a manifest's tensor names against what a graph really has: one message with file, role, expected and found.
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import type { EncoderPlan } from "../../../protocol/plan.js";

type Roles = Readonly<Record<string, string | null | readonly string[]>>;

export interface NamedTensors {
  readonly inputs: Roles;
  readonly outputs: Roles;
}

/** Throws when a named tensor is not in the graph, or an input of the graph has no role. `part` is encoder or decoder. */
export function requireTensors(session: OnnxSession, part: string, named: NamedTensors): void {
  requireNames(session, part, "inputs", named.inputs);
  requireNames(session, part, "outputs", named.outputs);
  const fed = new Set(Object.values(named.inputs).flat());
  const unfed = session.inputs.find((info) => !fed.has(info.name));
  if (unfed === undefined) return;
  throw new Error(
    `${session.file}: expected a role in ${part}.inputs for "${unfed.name}" (${described(unfed)}), found none`,
  );
}

/** Throws when both or neither of two roles is given. */
export function requireOneOf(session: OnnxSession, part: string, ids: string | null, onehot: string | null): void {
  if ((ids === null) !== (onehot === null)) return;
  const found = ids === null ? "neither" : "both";
  throw new Error(`${session.file}: expected ${part}.inputs.ids or ${part}.inputs.onehot, found ${found}`);
}

/** Throws when a tensor has not one of these ranks (a graph may tell none) or is not one of these types. */
export function requireKind(session: OnnxSession, role: string, info: TensorInfo | undefined, kind: TensorKind): void {
  if (info === undefined) return;
  const { ranks, types } = kind;
  if (types.includes(info.type) && [...ranks, 0].includes(info.dims.length)) return;
  const expected = `${types.join(" or ")} of ${ranks.join(" or ")} axes`;
  throw new Error(`${session.file}: ${role} "${info.name}": expected ${expected}, found ${described(info)}`);
}

export interface TensorKind {
  readonly ranks: readonly number[];
  readonly types: readonly string[];
}

export const integers = ["int64", "int32", "float32", "float64", "float16"];
export const floats = ["float32", "float16", "float64"];
export const flags = ["int64", "int32", "float32", "float16", "float64", "bool", "uint8"];

/** float32 [B, 3] */
export function described({ type, dims }: TensorInfo): string {
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

/** Element types that the decoder declares, by the encoder's output name. */
export type WantedTypes = Readonly<Record<string, string>>;
