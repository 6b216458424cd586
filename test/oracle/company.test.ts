// Promise 3: a request's tokens are the same alone and in any company. Real models, random schedules of joins and cancels, mixed options.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTsv } from "../../bench/tools/workload.js";
import { loadJobs } from "../support/models/jobs.js";
import { below, scaled, seededRandom } from "../support/random.js";
import { largestDifference, runAlone, runSchedule, type Job, type Result } from "../support/models/schedules.js";

const shipped = [
  { name: "g2p-en", inputs: "training/g2p/test-references.tsv" },
  { name: "itn-en", inputs: "training/itn/heldout-seed.tsv" },
];
const inputsPerModel = scaled(500);
const schedulesOfAll = 6;

for (const { name, inputs } of shipped) {
  test(`${name}: ${inputsPerModel} inputs give identical tokens alone and in ${schedulesOfAll} random schedules of all`, async () => {
    const texts = readTsv(inputs).map(([text = ""]) => text);
    const { model, jobs } = await loadJobs(join("models", name), "auto", texts.slice(0, inputsPerModel));
    const alone = await resultsAlone(model, jobs);
    let worst = 0;
    for (let seed = 0; seed < schedulesOfAll; seed += 1) {
      const together = await runSchedule(model, jobs, seededRandom(seed), 0.1);
      worst = Math.max(worst, compare(together, alone));
    }
    assert.ok(worst <= 1e-5, `log-probabilities differ by ${worst}`);
    await model.close();
  });
}

const zoo = process.env["ZOO_DIR"] ?? "test/zoo";
const folders = readdirSync(zoo).filter((name) => existsSync(join(zoo, name, "oracle.json")));
const schedulesInAll = scaled(2000);

for (const name of folders) {
  for (const dtype of ["fp32", "int8"]) {
    const count = Math.ceil(schedulesInAll / folders.length / 2);
    test(`${name} in ${dtype}: each sequence of ${count} random schedules equals its solo run, to the bit where the load check said so`, async () => {
      const oracle = JSON.parse(readFileSync(join(zoo, name, "oracle.json"), "utf8")) as {
        generate: { text: string }[];
      };
      const texts = [...new Set(oracle.generate.map(({ text }) => text))];
      const pool = Array.from({ length: 120 }, (_, i) => texts[i % texts.length]!);
      const { model, jobs, notes } = await loadJobs(join(zoo, name), dtype, pool);
      assert.match(notes.join(), /rewritten for rows of any age/);
      const tolerance = /same bits/.test(notes.join()) ? 0 : 1e-5;
      const alone = await resultsAlone(model, jobs);
      for (let seed = 0; seed < count; seed += 1) {
        const random = seededRandom(seed);
        const drawn = Array.from({ length: 3 + below(random, 10) }, () => below(random, jobs.length));
        const together = await runSchedule(
          model,
          drawn.map((i) => jobs[i]!),
          random,
          0.15,
        );
        const difference = compare(
          together,
          drawn.map((i) => alone[i]!),
        );
        assert.ok(difference <= tolerance, `schedule ${seed}: log-probabilities differ by ${difference}`);
      }
      await model.close();
    });
  }
}

async function resultsAlone(model: Parameters<typeof runAlone>[0], jobs: readonly Job[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const job of jobs) results.push(await runAlone(model, job));
  return results;
}

/** Largest difference; throws when ids differ. Cancelled jobs have no result. */
function compare(together: readonly (Result | null)[], alone: readonly Result[]): number {
  return together.reduce((worst, result, i) => {
    return result === null ? worst : Math.max(worst, largestDifference(result, alone[i]!));
  }, 0);
}
