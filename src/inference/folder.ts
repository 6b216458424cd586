// Reading a model folder: which file plays which role, by manifest or by Optimum's names, and why. Loads no weights.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ModelPlan, TransformerPlan } from "./engine/models/plan.js";
import { manifestPlan } from "./manifest-plan.js";
import { readManifest, type Manifest } from "./manifest.js";

/** A served folder, read: the engine's plan and what the text side needs. */
export interface FolderPlan {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly plan: ModelPlan;
  readonly dtype: string;
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
}

/** Suffixes in the order in which "auto" takes them: exact first, then the ones that lose least. */
const suffixes = ["", "_fp16", "_int8", "_quantized", "_uint8", "_q4f16", "_q4", "_bnb4"];

/** Throws one line that names folder, role, what was expected and what was found. */
export async function readFolder(folder: string, { dtype, cacheDir }: FolderOptions): Promise<FolderPlan> {
  const manifest = (await readManifest(folder)) ?? {};
  const config = await readJson(join(folder, "config.json"));
  const generationConfig = await readJson(join(folder, "generation_config.json"));
  const wanted = dtype === "auto" ? (manifest.dtype ?? "auto") : dtype;
  const read = { folder, manifest, config, generationConfig };
  if (manifest.encoder !== undefined || manifest.decoder !== undefined) {
    const { plan, files, found } = manifestPlan(folder, manifest, wanted);
    return { ...read, plan, files, dtype: found };
  }
  const { plan, files, found } = transformerPlan(folder, config, { dtype: wanted, cacheDir });
  return { ...read, plan, files, dtype: found };
}

function transformerPlan(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  { dtype, cacheDir }: FolderOptions,
) {
  const at = existsSync(join(folder, "onnx")) ? join(folder, "onnx") : folder;
  // int8 is made by us from the fp32 files; the files' own int8 serves where there are none.
  const makesInt8 = dtype === "int8" && existsSync(join(at, "encoder_model.onnx"));
  const suffix = makesInt8 ? "" : chosenSuffix(at, dtype);
  const roles = decoderFiles(at, suffix);
  const plan: TransformerPlan = {
    layout: "transformer",
    encoderFile: join(at, `encoder_model${suffix}.onnx`),
    ...roles,
    padId: Number(config["pad_token_id"] ?? 0),
    dtype: makesInt8 ? "int8" : "stored",
    cacheDir,
    maxDistance: numberOf(config["relative_attention_max_distance"]),
    sourceVocabSize: numberOf(config["vocab_size"]),
    int8Check: null,
  };
  const files: Record<string, string> = { encoder: basename(plan.encoderFile) };
  for (const [role, path] of Object.entries(roles)) if (path !== null) files[role.replace("File", "")] = basename(path);
  return { plan, files, found: makesInt8 ? "int8" : suffix.slice(1) || "fp32" };
}

// A merged decoder holds both halves with their weights once; transformers.js ships nothing else.
function decoderFiles(at: string, suffix: string) {
  const find = (stem: string) => {
    const path = join(at, `${stem}${suffix}.onnx`);
    return existsSync(path) ? path : null;
  };
  const mergedFile = find("decoder_model_merged");
  if (mergedFile !== null) return { mergedFile, decoderFile: null, decoderWithPastFile: null };
  const decoderFile = find("decoder_model");
  const decoderWithPastFile = find("decoder_with_past_model");
  if (decoderFile === null || decoderWithPastFile === null) {
    const both = `decoder_model${suffix}.onnx with decoder_with_past_model${suffix}.onnx`;
    throw new Error(`${at}: expected decoder_model_merged${suffix}.onnx, or ${both}`);
  }
  return { mergedFile, decoderFile, decoderWithPastFile };
}

function chosenSuffix(folder: string, dtype: string): string {
  const present = suffixes.filter((suffix) => existsSync(join(folder, `encoder_model${suffix}.onnx`)));
  if (present.length === 0)
    throw new Error(`${folder}: expected encoder_model.onnx (or a seqserve.json that names the graphs), found neither`);
  const wanted = dtype === "fp32" ? "" : `_${dtype}`;
  const chosen = dtype === "auto" ? present[0] : present.find((suffix) => suffix === wanted);
  if (chosen === undefined) {
    const found = present.map((suffix) => suffix.slice(1) || "fp32").join(", ");
    throw new Error(`${folder}: DTYPE ${dtype}: expected encoder_model${wanted}.onnx, found ${found}`);
  }
  return chosen;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${path}: not JSON: ${(error as Error).message}`, { cause: error });
  }
}
