// Every kind of model that seqserve.json describes: its framework's own greedy output and transformers' beams over the same scores, alone and in company.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { randomDecoding } from "../support/models/decoding.js";
import { loadManifestFolder, manifestFixtures, oracleJob, type LoadedManifest } from "../support/models/manifests.js";
import { below, scaled, seededRandom } from "../support/random.js";
import { largestDifference, runAlone, runSchedule, type Job, type Result } from "../support/models/schedules.js";

/** What each kind is served in, and what it says of the reason. */
const notes: Readonly<Record<string, RegExp>> = {
  "keras-onehot": /sources of equal length are encoded together, rows of any age/,
  "gru-attention": /sources of any length are encoded together, rows of any age/,
  "input-feeding": /sources of any length are encoded together, rows of any age/,
  "fixed-left": /sources of any length are encoded together, rows of any age/,
  "stateless-all": /sources of any length are encoded together, rows of any age.*square of its length/s,
  "stateless-last": /sources of any length are encoded together, rows of equal age share.*square of its length/s,
  "single-int8": /^one row a run.*scales whole tensors.*square of its length/s,
  // Kernels that round a half otherwise in company make it stricter.
  "float16-lstm": /rows of|one row a run/,
  "float64-gru": /sources of any length are encoded together, rows of any age/,
  "keras-tf2onnx": /sources of any length are encoded together, rows of any age/,
  "time-first": /sources of any length are encoded together, rows of any age/,
  "time-first-stateless": /rows of any age.*square of its length/s,
  "length-first": /sources of any length are encoded together, rows of any age/,
};

async function load(kind: string): Promise<LoadedManifest> {
  const loaded = await loadManifestFolder(join(manifestFixtures, kind));
  for (const { text, source: ids } of loaded.cases) {
    const tokens = await loaded.source.encode(text);
    assert.deepEqual(
      tokens.map(({ id }) => id),
      ids,
    );
  }
  return loaded;
}

/** Jobs with the oracle's answer to each. */
function expectations({ base, cases, tolerance }: LoadedManifest): { job: Job; check: (result: Result) => void }[] {
  return cases.flatMap(({ text, source, greedy, logprobs, beams }) => [
    {
      job: oracleJob(base, source, {}),
      check: ({ outputs: [output] }: Result) => {
        assert.deepEqual(output?.ids, greedy, `greedy of ${text}`);
        logprobs.forEach((logprob, i) => assert.ok(Math.abs((output?.logprobs[i] ?? NaN) - logprob) < tolerance, text));
      },
    },
    ...beams.map(({ options, ids, scores }) => ({
      job: oracleJob(base, source, {
        numBeams: Number(options["num_beams"]),
        numReturnSequences: Number(options["num_return_sequences"] ?? 1),
        lengthPenalty: Number(options["length_penalty"] ?? 1),
        earlyStopping: options["early_stopping"] === true,
      }),
      check: ({ outputs }: Result) => {
        const found = outputs.map((output) => output.ids);
        assert.deepEqual(found, ids, `${options["num_beams"]} beams of ${text}`);
        scores.forEach((score, i) => assert.ok(Math.abs((outputs[i]?.score ?? NaN) - score) < tolerance, text));
      },
    })),
  ]);
}

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: greedy and beams are its framework's own, alone`, async () => {
    const loaded = await load(kind);
    assert.match(loaded.notes.join("\n"), notes[kind]!);
    for (const { job, check } of expectations(loaded)) check(await runAlone(loaded.model, job));
    await loaded.model.close();
  });

  test(`${kind}: the same in ragged batches and random schedules`, async () => {
    const loaded = await load(kind);
    const expected = expectations(loaded);
    for (let seed = 0; seed < 3; seed += 1) {
      const results = await runSchedule(
        loaded.model,
        expected.map(({ job }) => job),
        seededRandom(seed),
        0,
      );
      results.forEach((result, i) => expected[i]!.check(result!));
    }
    await loaded.model.close();
  });

  test(`${kind}: mixed options and cancels change no other row`, async () => {
    const { model, base, cases } = await load(kind);
    const random = seededRandom(11);
    const jobs = cases.map(({ source }) => oracleJob(randomDecoding(random, base), source, {}));
    const alone: Result[] = [];
    for (const one of jobs) alone.push(await runAlone(model, one));
    for (let seed = 0; seed < scaled(20); seed += 1) {
      const drawn = Array.from({ length: 12 }, () => below(random, jobs.length));
      const together = await runSchedule(
        model,
        drawn.map((i) => jobs[i]!),
        seededRandom(seed),
        0.15,
      );
      together.forEach((result, i) => {
        if (result !== null) assert.ok(largestDifference(result, alone[drawn[i]!]!) < 1e-4);
      });
    }
    await model.close();
  });
}

for (const kind of ["gru-attention", "input-feeding", "length-first", "time-first"]) {
  test(`${kind}: attention covers exactly the row's own source and is the same in company`, async () => {
    const { model, base, cases } = await load(kind);
    const sources = [0, 4, 8].map((i) => cases[i]!.source);
    const attentionOf = async (group: number[][]): Promise<Float32Array[]> => {
      const rows = (await model.encode(group)).map((memory) => model.open(memory));
      for (const row of rows) row.token = base.prefix[0]!;
      const scores = await model.step(
        rows,
        rows.map(() => ({ kind: "full" })),
      );
      return rows.map((_, i) => scores.row(i).attention!);
    };
    const together = await attentionOf(sources);
    for (const [i, source] of sources.entries()) {
      const [alone] = await attentionOf([source]);
      assert.equal(alone!.length, source.length);
      const sum = alone!.reduce((total, weight) => total + weight, 0);
      assert.ok(Math.abs(sum - 1) < 1e-5, `weights sum to ${sum}`);
      assert.equal(together[i]!.length, source.length);
      alone!.forEach((weight, s) => assert.ok(Math.abs(weight - together[i]![s]!) < 1e-5));
    }
    await model.close();
  });
}
