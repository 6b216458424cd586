// Holds a manifest's tensor names against what a graph really has: one message with file, role, expected and found.
import type { OnnxSession } from "./onnx-session.js";

type Roles = Readonly<Record<string, string | null | readonly string[]>>;

export interface NamedTensors {
  readonly inputs: Roles;
  readonly outputs: Roles;
}

/** Throws when a named tensor is not in the graph, or an input of the graph has no role. */
export function requireTensors(session: OnnxSession, named: NamedTensors): void {
  requireNames(session, "input", named.inputs);
  requireNames(session, "output", named.outputs);
  const fed = new Set(Object.values(named.inputs).flat());
  const unfed = session.inputs.find((info) => !fed.has(info.name));
  if (unfed !== undefined) throw new Error(`${session.file}: input "${unfed.name}" has no role in the manifest`);
}

function requireNames(session: OnnxSession, side: "input" | "output", roles: Roles): void {
  const found = (side === "input" ? session.inputs : session.outputs).map((info) => info.name);
  for (const [role, names] of Object.entries(roles)) {
    for (const name of [names].flat()) {
      if (typeof name !== "string" || found.includes(name) || role === "scoresAre") continue;
      throw new Error(`${session.file}: ${side} ${role}: expected a tensor "${name}", found ${found.join(", ")}`);
    }
  }
}
