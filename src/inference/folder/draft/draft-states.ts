// Which of an LSTM's two states a tensor is, read from the graph: their sizes are the same, so no run can tell a hidden state from a cell. For drafts.
import type { GraphProto, NodeProto } from "onnx-buf";
import type { DraftGraph, DraftPart } from "./draft-roles.js";

type Kind = "hidden" | "cell";

/** Ops that hand a state on, layer by layer or in another shape. */
const passing = new Set(
  "Cast Identity Squeeze Unsqueeze Reshape Transpose Slice Gather Concat Expand Split".split(" "),
);
const maxWay = 12;

/** The decoder's states in the encoder's order where the graphs show it; `line` says what pairs, null where they don't. */
export function orderStates(
  encoder: DraftGraph,
  given: DraftPart,
  decoder: DraftGraph,
  held: DraftPart,
): { part: DraftPart; line: string | null } {
  const names = (part: DraftPart, side: "inputs" | "outputs") => [part[side]["states"] ?? []].flat();
  const first = byKind(names(given, "outputs"), (name) => kindOfOutput(encoder.graph, name));
  const taken = byKind(names(held, "inputs"), (name) => kindOfInput(decoder.graph, name));
  const next = byKind(names(held, "outputs"), (name) => kindOfOutput(decoder.graph, name));
  if (first === null || taken === null || next === null) return { part: held, line: null };
  const kinds = [...first.keys()];
  const inOrder = (found: ReadonlyMap<Kind, string>) => kinds.flatMap((kind) => found.get(kind) ?? []);
  const pairs = kinds.map((kind) => `${kind} ${first.get(kind)} → ${taken.get(kind)} → ${next.get(kind)}`);
  const part = {
    inputs: { ...held.inputs, states: inOrder(taken) },
    outputs: { ...held.outputs, states: inOrder(next) },
  };
  return { part, line: `the order of states, as the LSTMs have them: ${pairs.join(", ")}` };
}

/** null unless there is one hidden state and one cell. */
function byKind(names: readonly string[], kindOf: (name: string) => Kind | null): Map<Kind, string> | null {
  const found = new Map<Kind, string>();
  for (const name of names) {
    const kind = kindOf(name);
    if (kind !== null) found.set(kind, name);
  }
  return names.length === 2 && found.size === 2 ? found : null;
}

/** Back from an output to the LSTM that made it. */
function kindOfOutput({ node }: GraphProto, name: string): Kind | null {
  let at = name;
  for (let way = 0; way < maxWay; way += 1) {
    const maker = node.find(({ output }) => output.includes(at));
    if (maker === undefined) return null;
    if (isLstm(maker)) return maker.output.indexOf(at) === 2 ? "cell" : "hidden";
    if (!passing.has(maker.opType)) return null;
    at = maker.input[0] ?? "";
  }
  return null;
}

/** On from an input to the LSTM that begins with it. */
function kindOfInput({ node }: GraphProto, name: string): Kind | null {
  let at = [name];
  for (let way = 0; way < maxWay && at.length > 0; way += 1) {
    const takers = node.filter(({ input }) => input.some((one) => at.includes(one)));
    const lstm = takers.find((taker) => isLstm(taker));
    if (lstm !== undefined) return at.includes(lstm.input[6] ?? "") ? "cell" : "hidden";
    at = takers.filter(({ opType }) => passing.has(opType)).flatMap(({ output }) => output);
  }
  return null;
}

function isLstm({ opType }: NodeProto): boolean {
  return opType === "LSTM" || opType === "DynamicQuantizeLSTM";
}
