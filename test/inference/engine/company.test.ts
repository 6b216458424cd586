// Promise 3: a request's tokens are the same alone and in any company. Real models, random schedules, mixed options.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Seq2SeqModel } from "../../../src/inference/engine/models/model.js";
import { loadModel } from "../../../src/inference/engine/models/load-model.js";
import { readFolder } from "../../../src/inference/folder.js";
import { specialIds } from "../../../src/inference/served-model.js";
import { loadTokenizers } from "../../../src/inference/tokenizer/load-tokenizer.js";
import { readTsv } from "../../../bench/workload.js";
import { decoding, randomDecoding } from "../../support/decoding.js";
import { pick, seededRandom } from "../../support/random.js";
import { largestDifference, runAlone, runSchedule, type Job, type Result } from "../../support/schedules.js";

const shipped = [
  { name: "g2p-en", inputs: "training/g2p/test-references.tsv" },
  { name: "itn-en", inputs: "training/itn/heldout-seed.tsv" },
];
const inputsPerModel = 500;
const schedules = 6;

for (const { name, inputs } of shipped) {
  test(`${name}: ${inputsPerModel} inputs give identical tokens alone and in ${schedules} random schedules`, async () => {
    assert.ok(existsSync(inputs), `${inputs} is missing`);
    const { model, jobs } = await loadJobs(join("models", name), readTsv(inputs).slice(0, inputsPerModel), 7);
    const alone: Result[] = [];
    for (const job of jobs) alone.push(await runAlone(model, job));
    let worst = 0;
    for (let seed = 0; seed < schedules; seed += 1) {
      const together = await runSchedule(model, jobs, seededRandom(seed), 0.1);
      together.forEach((result, i) => {
        if (result !== null) worst = Math.max(worst, largestDifference(result, alone[i]!));
      });
    }
    assert.ok(worst <= 1e-5, `log-probabilities differ by ${worst}`);
    await model.close();
  });
}

async function loadJobs(folder: string, rows: string[][], seed: number): Promise<{ model: Seq2SeqModel; jobs: Job[] }> {
  const random = seededRandom(seed);
  const read = await readFolder(folder, "auto");
  const { source, target } = await loadTokenizers(folder, read.manifest);
  const special = specialIds(read, target);
  const { model } = await loadModel({ ...read.plan, padId: special.pad }, { threads: 1, device: "cpu" });
  const base = decoding({ prefix: [special.start], eosTokenIds: special.eos, padTokenId: special.pad, maxLength: 40 });
  const jobs: Job[] = [];
  for (const [text = ""] of rows) {
    const sourceIds = (await source.encode(text)).map((token) => token.id);
    const details = {
      wantLogprobs: random() < 0.7,
      topN: pick(random, [0, 0, 3]),
      wantAttention: false,
      deadlineAt: null,
    };
    jobs.push({ sourceIds, decoding: randomDecoding(random, base), ...details });
  }
  return { model, jobs };
}
