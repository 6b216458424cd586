// Reading a model folder: which file plays which role, by manifest or by Optimum's names, and why. Loads no weights.
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { checkConfig, checkParameters, checkTasks, readJsonObject } from "./config-fields.js";
import type { ModelPlan, TransformerPlan } from "../protocol/plan.js";
import { preferredDtype } from "../protocol/precision.js";
import { namedFiles } from "./folder-survey.js";
import { manifestPlan } from "./manifest-plan.js";
import { manifestFile, readManifest, type Manifest } from "./manifest.js";
import { chooseFiles } from "./transformer-files.js";

/** A served folder, read: the engine's plan and what the text side needs. */
export interface FolderPlan {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly plan: ModelPlan;
  readonly dtype: string;
  /** Why these files, where "auto" had a choice; else "". */
  readonly why: string;
  /** File name by role. */
  readonly files: Readonly<Record<string, string>>;
  /** config.json and generation_config.json; {} where absent. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly generationConfig: Readonly<Record<string, unknown>>;
}

export interface FolderOptions {
  /** The DTYPE setting. */
  readonly dtype: string;
  /** Where compiled graphs are kept. */
  readonly cacheDir: string;
  /** What models run on: "cpu" (as when absent) or "cuda:<number>". */
  readonly device?: string;
}

/** Graphs of no known names, and no file that says what they are. A manifest can be drafted for such a folder. */
export class ManifestMissing extends Error {
  override readonly name = "ManifestMissing";
}

/** Throws one line that names folder, role, what was expected and what was found; as ManifestMissing where a manifest would help. */
export async function readFolder(folder: string, options: FolderOptions): Promise<FolderPlan> {
  const manifest = await readManifest(folder);
  try {
    return await folderPlan(folder, manifest ?? {}, options);
  } catch (error) {
    if (!(error instanceof Error) || !(await isBare(folder))) throw error;
    throw new ManifestMissing(error.message, { cause: error });
  }
}

/** Graphs, and nothing beside them that says what they are. */
async function isBare(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((): string[] => []);
  const graphs = names.filter((name) => name.endsWith(".onnx")).length;
  return graphs >= 1 && graphs <= 2 && !names.includes(manifestFile) && !names.includes("config.json");
}

/** The folder as that manifest says, wherever it comes from. Throws one line. */
export async function folderPlan(folder: string, manifest: Manifest, options: FolderOptions): Promise<FolderPlan> {
  const { dtype, device = "cpu" } = options;
  checkParameters(join(folder, manifestFile), manifest.parameters ?? {});
  namedFiles(folder, manifest);
  const config = await readConfig(join(folder, "config.json"));
  const generationConfig = await readConfig(join(folder, "generation_config.json"));
  const wanted = dtype === "auto" ? preferredDtype(manifest.dtype, device) : dtype;
  const read = { folder, manifest, config, generationConfig };
  if (manifest.encoder !== undefined || manifest.decoder !== undefined) {
    const { plan, files, found } = manifestPlan(folder, manifest, wanted);
    return { ...read, plan, files, dtype: found, why: "" };
  }
  const attention = manifest.attention ?? null;
  const { plan, files, found, why } = transformerPlan(folder, config, { ...options, dtype: wanted, attention });
  return { ...read, plan, files, dtype: found, why };
}

function transformerPlan(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  { dtype, cacheDir, device, attention }: FolderOptions & Pick<TransformerPlan, "attention">,
) {
  const { files: chosen, makesInt8, dtype: found, why } = chooseFiles(folder, dtype, device);
  const { encoderFile, mergedFile, decoderFile, decoderWithPastFile } = chosen;
  const roles = { encoderFile, mergedFile, decoderFile, decoderWithPastFile };
  const plan: TransformerPlan = {
    layout: "transformer",
    ...roles,
    padId: Number(config["pad_token_id"] ?? 0),
    dtype: makesInt8 ? "int8" : "stored",
    cacheDir,
    maxDistance: numberOf(config["relative_attention_max_distance"]),
    attention,
    sourceVocabSize: numberOf(config["vocab_size"]),
    int8Check: null,
  };
  const files: Record<string, string> = {};
  for (const [role, path] of Object.entries(roles)) if (path !== null) files[role.replace("File", "")] = basename(path);
  return { plan, files, found, why };
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  const config = await readJsonObject(path);
  checkConfig(path, config);
  checkTasks(path, config);
  return config;
}
