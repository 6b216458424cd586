// What one folder anywhere is, found out as the server does: read, its graphs loaded and checked, then let go. For `seqserve check`.
import { stat } from "node:fs/promises";
import { basename, dirname, relative, resolve } from "node:path";
import { draftManifest, type ManifestDraft } from "../folder/draft/draft-manifest.js";
import type { FolderPlan } from "../folder/folder.js";
import { runDraft, type DraftRunOptions } from "./draft-run.js";
import type { ModelInfo } from "./model-info.js";
import { ModelSlot, type SlotOptions } from "./model-slot.js";
import type { ServedModel } from "./served-model.js";
import { planFiles } from "../protocol/plan.js";
import { LoadMeter } from "./load-steps.js";

export interface FolderReport {
  /** `state` is "ready", or "failed" with its error. */
  readonly info: ModelInfo;
  /** null for a folder that failed. */
  readonly details: FolderDetails | null;
  /** For a folder that failed for want of a manifest. */
  readonly draft: ManifestDraft | null;
}

export interface FolderDetails {
  /** model_type of config.json. */
  readonly family: string | null;
  readonly files: readonly FileReport[];
  readonly tokenizer: { readonly source: string; readonly target: string };
}

export interface FileReport {
  readonly role: string;
  /** Within the folder. */
  readonly file: string;
  /** Without weights beside it. */
  readonly bytes: number;
}

export type ReportOptions = Omit<SlotOptions, "modelsDir" | "onStep" | "onLoaded" | "onUnloaded"> & {
  readonly threads: number;
};

/** Throws one line when there is no such folder; a folder that can't be served is a report. */
export async function reportFolder(folder: string, { threads, ...options }: ReportOptions): Promise<FolderReport> {
  const path = resolve(folder);
  const found = await stat(path).catch(() => null);
  if (found === null) throw new Error(`${folder}: no such folder`);
  if (!found.isDirectory()) throw new Error(`${folder}: expected a folder, found a file`);
  const quiet = { onStep: () => undefined, onLoaded: () => undefined, onUnloaded: () => undefined };
  const slot = new ModelSlot(basename(path), { ...options, ...quiet, modelsDir: dirname(path) }, new LoadMeter());
  try {
    if (await slot.read()) await slot.start(threads);
    const info = slot.info();
    const details = info.state === "ready" ? await folderDetails(slot.model) : null;
    return { info, details, draft: info.needsManifest === true ? await runnableDraft(path, options) : null };
  } finally {
    await slot.close();
  }
}

async function runnableDraft(path: string, options: DraftRunOptions): Promise<ManifestDraft | null> {
  const draft = await draftManifest(path).catch(() => null);
  return draft && runDraft(path, draft, options);
}

async function folderDetails({ folder, source, target }: ServedModel): Promise<FolderDetails> {
  const family = folder.config["model_type"];
  return {
    family: typeof family === "string" ? family : null,
    files: await fileReports(folder),
    tokenizer: { source: source.kind, target: target.kind },
  };
}

function fileReports({ folder, files, plan }: FolderPlan): Promise<FileReport[]> {
  const paths = planFiles(plan);
  const reports = Object.entries(files).map(async ([role, name]) => {
    const path = paths.find((one) => basename(one) === name) ?? resolve(folder, name);
    return { role, file: relative(folder, path), bytes: (await stat(path)).size };
  });
  return Promise.all(reports);
}
