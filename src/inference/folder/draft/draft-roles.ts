// Which tensor of a foreign graph plays which role, guessed from names, sizes and element types. For the draft of a manifest; a person checks it.
import type { GraphProto, ValueInfoProto } from "onnx-buf";

export interface DraftTensor {
  readonly name: string;
  readonly isFloat: boolean;
  readonly isBool: boolean;
  /** A string for sizes that are free, also where they have no name. */
  readonly dims: readonly (number | string)[];
}

export interface DraftGraph {
  readonly file: string;
  readonly graph: GraphProto;
  readonly inputs: readonly DraftTensor[];
  readonly outputs: readonly DraftTensor[];
}

/** Roles to names, as they stand in a manifest. */
export type DraftRoles = Record<string, string | string[]>;

export interface DraftPart {
  readonly inputs: DraftRoles;
  readonly outputs: DraftRoles;
}

const floatTypes = new Set([1, 10, 11, 16]);
const boolType = 9;

export function draftGraph(file: string, graph: GraphProto): DraftGraph {
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => !weights.has(name)).map(draftTensor);
  return { file, graph, inputs, outputs: graph.output.map(draftTensor) };
}

function draftTensor({ name, type }: ValueInfoProto): DraftTensor {
  const tensor = type?.value.case === "tensorType" ? type.value.value : undefined;
  const dims = (tensor?.shape?.dim ?? []).map(({ value }) => (value.case === "dimValue" ? Number(value.value) : "?"));
  return { name, dims, isFloat: floatTypes.has(tensor?.elemType ?? 0), isBool: tensor?.elemType === boolType };
}

/** Takes tensors off a list, so that each gets one role. */
class Pool {
  #left: DraftTensor[];

  constructor(tensors: readonly DraftTensor[]) {
    this.#left = [...tensors];
  }

  get isEmpty(): boolean {
    return this.#left.length === 0;
  }

  one(fits: (tensor: DraftTensor) => boolean): DraftTensor | undefined {
    const found = this.#left.find(fits);
    this.#left = this.#left.filter((tensor) => tensor !== found);
    return found;
  }

  all(fits: (tensor: DraftTensor) => boolean): DraftTensor[] {
    const found = this.#left.filter(fits);
    this.#left = this.#left.filter((tensor) => !found.includes(tensor));
    return found;
  }
}

const isMask = ({ name, isBool }: DraftTensor) => isBool || /mask/iu.test(name);
const free = ({ dims }: Pick<DraftTensor, "dims">) => dims.filter((dim) => typeof dim === "string").length;
const isMemory = (tensor: DraftTensor) => tensor.isFloat && tensor.dims.length === 3 && free(tensor) === 2;
const likeTarget = ({ name }: DraftTensor) => /tgt|trg|target|dec|^ys?$/iu.test(name);

export function encoderRoles({ inputs, outputs }: DraftGraph): DraftPart {
  const [given, left] = [new Pool(inputs), new Pool(outputs)];
  const hasIds = inputs.some((tensor) => !tensor.isFloat && free(tensor) === 2);
  const mask =
    given.one(isMask) ??
    (hasIds ? given.one((tensor) => tensor.isFloat && free(tensor) === 2 && tensor.dims.length === 2) : undefined);
  const lengths = given.one(({ name, dims }) => dims.length === 1 || /length/iu.test(name));
  const onehot = given.one(({ isFloat, dims }) => isFloat && dims.length === 3);
  const ids = given.one(() => true);
  const maskOut = left.one(isMask);
  const memory = left.one(isMemory);
  const states = left.all(({ isFloat }) => isFloat);
  return {
    inputs: namesByRole({ ids, onehot, mask, lengths }),
    outputs: namesByRole({ memory, mask: maskOut, states }),
  };
}

/** @param encoder its roles, or null for a single graph. */
export function decoderRoles(graph: DraftGraph, encoder: DraftPart | null): DraftPart {
  const given = new Pool(graph.inputs);
  const memory = encoder?.outputs["memory"] === undefined ? undefined : given.one(isMemory);
  const mask = given.one(isMask) ?? given.one(({ name }) => name === encoder?.inputs["mask"]);
  const integers = given.all(({ isFloat }) => !isFloat);
  // What is left are states: tokens of any number beside them are a step's.
  const isStateless = given.isEmpty && integers.some((tensor) => tensor.dims.length === 2 && free(tensor) === 2);
  if (!isStateless) return recurrentRoles(graph, encoder, { memory, mask, token: integers[0] }, given);
  const targets = integers.find(likeTarget) ?? integers.find(({ name }) => name !== encoder?.inputs["ids"]);
  const source = integers.find((tensor) => tensor !== targets);
  return {
    inputs: namesByRole({ targets, source, memory, mask }),
    outputs: scoreRoles(graph, new Pool(graph.outputs)),
  };
}

type Found = Readonly<Record<"memory" | "mask" | "token", DraftTensor | undefined>>;

function recurrentRoles(graph: DraftGraph, encoder: DraftPart | null, found: Found, given: Pool): DraftPart {
  const { memory, mask } = found;
  const depth = graph.outputs[0]?.dims.at(-1);
  const token =
    found.token ??
    given.one(({ dims }) => dims.at(-1) === 1) ??
    given.one(({ dims }) => dims.at(-1) === depth) ??
    given.one(({ dims }) => dims.includes(1));
  const isOnehot = token !== undefined && token.isFloat && token.dims.at(-1) !== 1;
  const floats = given.all(() => true);
  const held = floats.slice(0, [encoder?.outputs["states"] ?? []].flat().length);
  const fed = floats.slice(held.length);
  const left = new Pool(graph.outputs);
  const pair = ({ name, dims }: DraftTensor) =>
    left.one((other) => other.name.startsWith(`${name}_`) || other.name.endsWith(`_${name}`)) ??
    left.one((other) => other.name !== graph.outputs[0]?.name && sameSizes(other.dims, dims));
  const [states, feed] = [held.flatMap((one) => pair(one) ?? []), fed.flatMap((one) => pair(one) ?? [])];
  return {
    inputs: namesByRole({ [isOnehot ? "onehot" : "ids"]: token, memory, mask, states: held, feed: fed }),
    outputs: { ...scoreRoles(graph, left), ...namesByRole({ states, feed }) },
  };
}

function scoreRoles({ graph }: DraftGraph, left: Pool): DraftRoles {
  const scores =
    left.one(({ name }) => /logit|score|prob/iu.test(name)) ??
    left.one(({ name, isFloat }) => isFloat && !/att|weight|align/iu.test(name));
  const scoresAre = scores === undefined ? "logits" : scoreKind(graph, scores.name);
  const attention = left.one(({ name }) => /att|weight|align/iu.test(name));
  return { ...namesByRole({ scores, attention }), ...(scoresAre !== "logits" && { scoresAre }) };
}

const passing = new Set(["Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Transpose"]);

/** What the last node that counts says of scores. */
function scoreKind({ node }: GraphProto, name: string): "logits" | "logprobs" | "probs" {
  const maker = node.find(({ output }) => output.includes(name));
  if (maker === undefined) return "logits";
  if (passing.has(maker.opType)) return scoreKind({ node } as GraphProto, maker.input[0] ?? "");
  return maker.opType === "Softmax" ? "probs" : maker.opType === "LogSoftmax" ? "logprobs" : "logits";
}

function sameSizes(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

function namesByRole(roles: Record<string, DraftTensor | DraftTensor[] | undefined>): DraftRoles {
  return Object.fromEntries(
    Object.entries(roles).flatMap(([role, found]) => {
      if (found === undefined || (Array.isArray(found) && found.length === 0)) return [];
      return [[role, Array.isArray(found) ? found.map(({ name }) => name) : found.name] as const];
    }),
  );
}
