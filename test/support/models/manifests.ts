// Models of test/fixtures/manifests, loaded as the catalog loads them, with their oracles.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Decoding } from "../../../src/generation.js";
import { enginePlan } from "../../../src/inference/catalog/engine-plan.js";
import { loadModel } from "../../../src/inference/engine/models/load-model.js";
import type { Seq2SeqModel } from "../../../src/inference/engine/models/model.js";
import { readFolder } from "../../../src/inference/folder/folder.js";
import { specialIds } from "../../../src/inference/catalog/served-model.js";
import { loadTokenizers } from "../../../src/inference/folder/folder-tokenizers.js";
import type { Tokenizer } from "../../../src/inference/tokenizer/tokenizer.js";
import { decoding } from "./decoding.js";
import type { Job } from "./schedules.js";

export const manifestFixtures = "test/fixtures/manifests";

export interface OracleCase {
  readonly text: string;
  readonly source: number[];
  readonly greedy: number[];
  readonly logprobs: number[];
  readonly beams: { options: Record<string, number | boolean>; ids: number[][]; scores: number[] }[];
}

export interface LoadedManifest {
  readonly model: Seq2SeqModel;
  readonly notes: readonly string[];
  readonly source: Tokenizer;
  readonly base: Decoding;
  readonly cases: readonly OracleCase[];
  readonly tolerance: number;
}

export interface ManifestOracle {
  readonly cases: readonly OracleCase[];
  readonly maxLength: number;
  /** Of scores and log-probabilities. */
  readonly tolerance: number;
}

export function readOracle(folder: string): ManifestOracle {
  const text = readFileSync(join(folder, "oracle.json"), "utf8");
  return { tolerance: 1e-4, ...(JSON.parse(text) as Omit<ManifestOracle, "tolerance">) };
}

export async function loadManifestFolder(folder: string): Promise<LoadedManifest> {
  const read = await readFolder(folder, { dtype: "auto", cacheDir: ".cache/test" });
  const { source, target } = await loadTokenizers(folder, read.manifest);
  const special = specialIds(read, target);
  const { model, notes } = await loadModel(await enginePlan(read, source, special), { threads: 1, device: "cpu" });
  const { cases, maxLength, tolerance } = readOracle(folder);
  const base = decoding({ prefix: [special.start], eosTokenIds: special.eos, padTokenId: special.pad, maxLength });
  return { model, notes, source, base, cases, tolerance };
}

export function oracleJob(base: Decoding, sourceIds: number[], options: Partial<Decoding>): Job {
  const details = { wantLogprobs: true, topN: 0, wantAttention: true, deadlineAt: null, priority: 5 };
  return { sourceIds, decoding: { ...base, ...options }, ...details };
}
