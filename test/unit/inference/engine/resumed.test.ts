// Sequences that another engine began, on every kind of model: walked over and gone on with, beside others of any age, they end as their first run did.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { randomDecoding } from "../../../support/models/decoding.js";
import { loadManifestFolder, manifestFixtures, oracleJob } from "../../../support/models/manifests.js";
import { seededRandom } from "../../../support/random.js";
import { runAlone, runSchedule, type Job, type Result } from "../../../support/models/schedules.js";

interface Cut {
  readonly job: Job;
  readonly whole: Result;
  readonly resumedIds: readonly number[][];
}

/** After each number of tokens; of several outputs the later ones may be one token behind. */
function cutsOf(job: Job, whole: Result): Cut[] {
  const longest = Math.max(...whole.outputs.map(({ ids }) => ids.length));
  return Array.from({ length: longest + 1 }, (_, cut) => {
    const resumedIds = whole.outputs.map(({ ids }, output) =>
      ids.slice(0, output > cut % 2 ? Math.max(0, cut - 1) : cut),
    );
    return { job: { ...job, resumedIds, resumedTokens: resumedIds.flat().length }, whole, resumedIds };
  });
}

function checkRest({ whole, resumedIds }: Cut, result: Result): void {
  result.outputs.forEach(({ ids, reason, logprobs }, output) => {
    const expected = whole.outputs[output]!;
    const walked = resumedIds[output]!.length;
    assert.deepEqual([ids, reason], [expected.ids, expected.reason]);
    assert.ok(logprobs.slice(0, walked).every((logprob) => logprob === undefined));
    logprobs.slice(walked).forEach((logprob, at) => {
      const difference = Math.abs((logprob ?? 0) - (expected.logprobs[walked + at] ?? 0));
      assert.ok(difference < 1e-5, `log-probability ${at} behind ${walked}: off by ${difference}`);
    });
  });
}

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: greedy and samples go on at every point as they would have`, async () => {
    const { model, base, cases } = await loadManifestFolder(join(manifestFixtures, kind));
    const random = seededRandom(5);
    const cuts: Cut[] = [];
    for (const { source } of cases.slice(0, 6)) {
      const options = randomDecoding(random, base);
      const numBeams = options.numBeams > 1 ? { numBeams: 1, numReturnSequences: 1 } : {};
      const job = oracleJob(base, source, { ...options, ...numBeams });
      cuts.push(...cutsOf(job, await runAlone(model, job)));
    }
    const jobs = cuts.map(({ job }) => job);
    const results = await runSchedule(model, jobs, random, 0);
    results.forEach((result, i) => checkRest(cuts[i]!, result!));
    await model.close();
  });

  test(`${kind}: all beams begin with what is given, and are scored as a whole`, async () => {
    const { model, base, cases } = await loadManifestFolder(join(manifestFixtures, kind));
    for (const { source, greedy } of cases.slice(0, 4)) {
      const job = oracleJob(base, source, { numBeams: 3, numReturnSequences: 3 });
      const resumedIds = greedy.slice(0, Math.min(2, greedy.length - 1));
      const { outputs, streamed } = await runAlone(model, { ...job, resumedIds: [resumedIds] });
      assert.ok(outputs.length > 1);
      for (const { ids } of outputs) assert.deepEqual(ids.slice(0, resumedIds.length), resumedIds);
      assert.deepEqual(streamed, outputs[0]!.ids);
      for (const { score, logprobs } of outputs) {
        const mean = logprobs.reduce<number>((sum, logprob) => sum + logprob!, 0) / logprobs.length;
        assert.ok(Math.abs(score! - mean) < 1e-4, `score ${score}, mean ${mean}`);
      }
    }
    await model.close();
  });
}
