// What /models, /info and the banner tell of a model.
import type { ManifestDraft } from "./draft-manifest.js";
import type { FolderPlan } from "./folder.js";

export interface ModelLimits {
  /** Source tokens of one input at most. */
  readonly maxInputTokens: number;
  readonly maxNewTokens: number;
  readonly maxBeams: number;
}

export interface ModelInfo {
  readonly name: string;
  readonly state: "loading" | "ready" | "failed";
  /** One line, when it failed. */
  readonly error?: string;
  /** For the start-up message, when it failed for want of a manifest. */
  readonly draft?: ManifestDraft;
  readonly isDefault: boolean;
  readonly layout: "recurrent" | "transformer" | "stateless";
  readonly task: string | null;
  readonly description: string | null;
  readonly licence: string | null;
  readonly version: string | null;
  readonly device: string;
  readonly dtype: string;
  /** File name by role. */
  readonly files: Readonly<Record<string, string>>;
  /** What was chosen and why. */
  readonly notes: readonly string[];
  readonly limits: ModelLimits;
  readonly languages: { readonly source: readonly string[]; readonly target: readonly string[] };
  readonly vocabSize: number;
  readonly attention: boolean;
  readonly engines: number;
  /** ONNX Runtime threads per engine. */
  readonly threads: number;
  readonly loadMs: number;
}

/** What is told before anything is known. */
export const unknownModel: Omit<ModelInfo, "name" | "state" | "isDefault" | "threads" | "loadMs"> = {
  layout: "transformer",
  task: null,
  description: null,
  licence: null,
  version: null,
  device: "none",
  dtype: "unknown",
  files: {},
  notes: [],
  limits: { maxInputTokens: 0, maxNewTokens: 0, maxBeams: 0 },
  languages: { source: [], target: [] },
  vocabSize: 0,
  attention: false,
  engines: 0,
};

/** What the folder alone says. */
export function folderInfo({ manifest, plan, dtype, files }: FolderPlan) {
  const { task = null, description = null, licence = null, version = null } = manifest;
  return { layout: plan.layout, task, description, licence, version, dtype, files };
}
