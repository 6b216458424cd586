// What only an engine knows of a model, as plain JSON: workers announce it, and processes without engines learn it (inference.facts, inference.learn).
import type { EngineInfo } from "../protocol/engine-protocol.js";
import type { FolderPlan } from "../folder/folder.js";
import { rewriterVersion } from "../protocol/facts.js";

export interface EngineFacts extends Omit<EngineInfo, "vocabSize"> {
  /** null: the scores have no fixed size. */
  readonly vocabSize: number | null;
  /** What is loaded there, by the worker's own DTYPE. */
  readonly dtype: string;
  readonly files: Readonly<Record<string, string>>;
  /** What decides the arithmetic beside the folder's content: two workers of one variant and digest compute alike, but for their CPUs. */
  readonly variant: string;
}

export function engineFacts(folder: FolderPlan, info: EngineInfo): EngineFacts {
  const { dtype, files, why } = folder;
  const notes = [why, ...info.notes].filter((note) => note !== "");
  const vocabSize = Number.isSafeInteger(info.vocabSize) ? info.vocabSize : null;
  return { ...info, vocabSize, notes, dtype, files, variant: variantOf(folder, info) };
}

// Other notes and an engine's load time are no part of it. The rewriter decides which sums are taken in which order.
function variantOf({ plan, dtype }: FolderPlan, { device, runtime, facts }: EngineInfo): string {
  const graphs = facts === null || facts.fallbackReason !== null ? "stock" : `rewritten${rewriterVersion}`;
  return [plan.layout, dtype, device, graphs, `ort${runtime}`].join("/");
}
