// Real models with jobs for them: texts encoded by the folder's own tokenizer, each with one of the kinds of options that traffic mixes.
import type { Seq2SeqModel } from "../../src/inference/engine/models/model.js";
import { loadModel } from "../../src/inference/engine/models/load-model.js";
import { readFolder } from "../../src/inference/folder.js";
import { specialIds } from "../../src/inference/served-model.js";
import { loadTokenizers } from "../../src/inference/tokenizer/load-tokenizer.js";
import { decoding, randomDecoding } from "./decoding.js";
import { pick, seededRandom } from "./random.js";
import type { Job } from "./schedules.js";

export interface LoadedJobs {
  readonly model: Seq2SeqModel;
  readonly jobs: readonly Job[];
  readonly notes: readonly string[];
}

export async function loadJobs(folder: string, dtype: string, texts: readonly string[], seed = 7): Promise<LoadedJobs> {
  const random = seededRandom(seed);
  const read = await readFolder(folder, { dtype, cacheDir: ".cache/test" });
  const { source, target } = await loadTokenizers(folder, read.manifest);
  const special = specialIds(read, target);
  const { model, notes } = await loadModel({ ...read.plan, padId: special.pad }, { threads: 1, device: "cpu" });
  const base = decoding({ prefix: [special.start], eosTokenIds: special.eos, padTokenId: special.pad, maxLength: 40 });
  const jobs: Job[] = [];
  for (const text of texts) {
    const sourceIds = (await source.encode(text)).map((token) => token.id);
    const details = {
      wantLogprobs: random() < 0.7,
      topN: pick(random, [0, 0, 3]),
      wantAttention: false,
      deadlineAt: null,
    };
    jobs.push({ sourceIds, decoding: randomDecoding(random, base), ...details });
  }
  return { model, jobs, notes };
}
