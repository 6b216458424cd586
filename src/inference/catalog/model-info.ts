// A model as /models, /info and the banner show it.
import { rowBytes, type TransformerFacts } from "../protocol/facts.js";
import type { EngineFacts } from "./engine-facts.js";
import type { FolderPlan } from "../folder/folder.js";
import { modelLanguages } from "./languages.js";
import type { ServedModel, ModelLimits } from "./served-model.js";
import { taskNames } from "./tasks.js";

/** How the messages of a chat become one source text: each role's pattern has its text at {}. */
export interface ChatForm {
  readonly system?: string;
  readonly user?: string;
  readonly assistant?: string;
  /** Put behind the last message. */
  readonly prompt?: string;
}

export interface ModelInfo {
  readonly name: string;
  /** idle: its engines are closed for want of requests; the next one starts them. */
  readonly state: "loading" | "ready" | "idle" | "failed";
  /** One line, when it failed. */
  readonly error?: string;
  /** It failed for want of a manifest, which `seqserve check` drafts. */
  readonly needsManifest?: boolean;
  readonly isDefault: boolean;
  readonly layout: "recurrent" | "transformer" | "stateless";
  readonly task: string | null;
  /** Tasks that a request may name. */
  readonly tasks: readonly string[];
  readonly description: string | null;
  readonly licence: string | null;
  readonly version: string | null;
  readonly device: string;
  readonly dtype: string;
  /** File name by role. */
  readonly files: Readonly<Record<string, string>>;
  /** What was chosen and why. */
  readonly notes: readonly string[];
  /** What loading found out about a transformer's graphs; null before that, and for other layouts. */
  readonly facts: TransformerFacts | null;
  readonly limits: ModelLimits;
  /** Null: the last user message is the source text. */
  readonly chat: ChatForm | null;
  readonly languages: { readonly source: readonly string[]; readonly target: readonly string[] };
  readonly vocabSize: number;
  readonly attention: boolean;
  readonly engines: number;
  /** ONNX Runtime threads per engine. */
  readonly threads: number;
  readonly loadMs: number;
  readonly memory: ModelMemory;
}

export interface ModelMemory {
  /** Of the files, weights beside them included; null before they were read. */
  readonly weightBytes: number | null;
  /** What the last load added to the process's resident memory; null where other loads ran at the same time. */
  readonly loadedBytes: number | null;
}

/** Before anything is known. */
export const unknownModel: Omit<ModelInfo, "name" | "state" | "isDefault" | "threads" | "loadMs" | "memory"> = {
  layout: "transformer",
  task: null,
  tasks: [],
  description: null,
  licence: null,
  version: null,
  device: "none",
  dtype: "unknown",
  files: {},
  notes: [],
  facts: null,
  limits: { maxInputTokens: 0, maxNewTokens: 0, maxBeams: 0 },
  languages: { source: [], target: [] },
  vocabSize: 0,
  chat: null,
  attention: false,
  engines: 0,
};

/** Of one row with the longest source and output that the limits allow; null where rows keep no caches that grow. */
export function rowBytesAtLimits({ facts, limits }: Pick<ModelInfo, "facts" | "limits">): number | null {
  return facts === null ? null : rowBytes(facts.rowMemory, limits.maxInputTokens, limits.maxNewTokens);
}

/** What the folder alone says. */
export function folderInfo({ manifest, plan, dtype, files }: FolderPlan) {
  const { task = null, description = null, licence = null, version = null, chat = null } = manifest;
  return { layout: plan.layout, task, description, licence, version, chat, dtype, files };
}

/** What the text side adds. */
export function textInfo(folder: FolderPlan, side: Pick<ServedModel, "source" | "target" | "limits">) {
  return { tasks: taskNames({ folder }), limits: side.limits, languages: modelLanguages({ folder, ...side }) };
}

/** What engines found out, here or elsewhere. */
export function engineInfo({ device, dtype, files, notes, facts, vocabSize, hasAttention }: EngineFacts) {
  return { device, dtype, files, notes, facts, vocabSize: vocabSize ?? 0, attention: hasAttention };
}
