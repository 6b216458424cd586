// Real models with jobs for them: texts encoded by the folder's own tokenizer, each with one of the kinds of options that traffic mixes.
import type { Seq2SeqModel } from "../../../src/inference/engine/models/model.js";
import type { SessionOptions } from "../../../src/inference/engine/models/onnx-session.js";
import { loadModel } from "../../../src/inference/engine/models/load-model.js";
import type { ModelPlan } from "../../../src/inference/protocol/plan.js";
import { engineProbe, textSide } from "../../../src/inference/catalog/load-steps.js";
import { enginePlan } from "../../../src/inference/catalog/engine-plan.js";
import { readFolder, type FolderPlan } from "../../../src/inference/folder/folder.js";
import { specialIds, type SpecialIds } from "../../../src/inference/catalog/served-model.js";
import { loadTokenizers } from "../../../src/inference/folder/folder-tokenizers.js";
import type { Tokenizer } from "../../../src/inference/tokenizer/tokenizer.js";
import { decoding, randomDecoding } from "./decoding.js";
import { pick, seededRandom } from "../random.js";
import type { Job } from "./schedules.js";

export interface LoadedJobs {
  readonly model: Seq2SeqModel;
  readonly jobs: readonly Job[];
  readonly notes: readonly string[];
}

/** As served, but int8 is not held against fp32: tests that want it say so. */
async function testPlan(read: FolderPlan, source: Tokenizer, special: SpecialIds): Promise<ModelPlan> {
  if (read.plan.layout === "transformer") return { ...read.plan, padId: special.pad };
  return enginePlan(read, source, special);
}

export async function loadJobs(
  folder: string,
  dtype: string,
  texts: readonly string[],
  seed = 7,
  options: Partial<SessionOptions> = {},
): Promise<LoadedJobs> {
  const random = seededRandom(seed);
  const running = { threads: 1, device: "cpu", ...options };
  const read = await readFolder(folder, { dtype, cacheDir: ".cache/test", device: running.device });
  const { source, target } = await loadTokenizers(folder, read.manifest);
  const special = specialIds(read, target);
  const { model, notes } = await loadModel(await testPlan(read, source, special), running);
  const base = decoding({ prefix: [special.start], eosTokenIds: special.eos, padTokenId: special.pad, maxLength: 40 });
  const jobs: Job[] = [];
  for (const text of texts) {
    const sourceIds = (await source.encode(text)).map((token) => token.id);
    const details = {
      wantLogprobs: random() < 0.7,
      topN: pick(random, [0, 0, 3]),
      wantAttention: model.hasAttention && jobs.length % 2 === 0,
      deadlineAt: null,
      priority: 5,
    };
    jobs.push({ sourceIds, decoding: randomDecoding(random, base), ...details });
  }
  return { model, jobs, notes };
}

/** For an engine's own thread: what it loads, and a greedy job for each text, long enough to be in flight with the others. */
export async function engineJobs(folder: string, texts: readonly string[]) {
  const read = await readFolder(folder, { dtype: "auto", cacheDir: ".cache/test", device: "cpu" });
  const side = await textSide(read, { maxInputTokens: null, maxNewTokens: 64, maxBeams: 4 });
  const { special } = side;
  const base = decoding({ prefix: [special.start], eosTokenIds: special.eos, padTokenId: special.pad });
  const jobs: Job[] = [];
  for (const text of texts) {
    const sourceIds = (await side.source.encode(text)).map((token) => token.id);
    const details = { wantLogprobs: false, topN: 0, wantAttention: false, deadlineAt: null, priority: 5 };
    jobs.push({ sourceIds, decoding: { ...base, minNewTokens: 20, maxLength: 40 }, ...details });
  }
  return { jobs, plan: await enginePlan(read, side.source, special), probe: engineProbe(read, side) };
}
