// Several greedy steps in one run (an ONNX Loop) choose what as many single steps do: every layout, alone, ended early, in random schedules of joins and cancels.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTsv } from "../../bench/workload.js";
import { createInference } from "../../src/inference/inference.js";
import type { Seq2SeqModel } from "../../src/inference/engine/models/model.js";
import { decoding } from "../support/decoding.js";
import { inferenceOptions } from "../support/inference-options.js";
import { loadJobs } from "../support/jobs.js";
import { loadManifestFolder, manifestFixtures } from "../support/manifests.js";
import { below, pick, scaled, seededRandom } from "../support/random.js";
import { runAlone, runSchedule, type Job, type Result } from "../support/schedules.js";
import { checkEveryCut, undisturbed } from "../support/take-over.js";

const steps = 5;

/** Of a sequence that only wants its best ids. */
function plain(job: Job, changes: Partial<Job["decoding"]> = {}): Job {
  const { prefix, eosTokenIds, padTokenId, maxLength } = job.decoding;
  const kept = { prefix, eosTokenIds, padTokenId, maxLength: Math.max(maxLength, 30) };
  return { ...job, wantLogprobs: false, topN: 0, decoding: decoding({ ...kept, ...changes }) };
}

/** Runs of several steps that the model made, and steps in all of them. */
function counted(model: Seq2SeqModel): { runs: number; steps: number; takenBack: number } {
  const { greedy } = model;
  assert.ok(greedy, "several steps a run");
  const made = { runs: 0, steps: 0, takenBack: 0 };
  const run: typeof greedy.run = async (rows, ends, count) => {
    const chosen = await greedy.run(rows, ends, count);
    made.runs += 1;
    made.steps += Math.max(...chosen.map((ids) => ids.length));
    assert.ok(chosen.every((ids) => ids.length <= count));
    return chosen;
  };
  const takeBack: typeof greedy.takeBack = (rows, count) => {
    made.takenBack += 1;
    greedy.takeBack?.(rows, count);
  };
  const value = { ...greedy, run, ...(greedy.takeBack !== undefined && { takeBack }) };
  Object.defineProperty(model, "greedy", { value });
  return made;
}

/** Each plain job, and its like that ends at an id which it chooses somewhere on its way. */
async function withEnds(model: Seq2SeqModel, jobs: readonly Job[], random: () => number): Promise<Job[]> {
  const all: Job[] = [];
  for (const job of jobs) {
    const whole = plain(job);
    const ids = (await runAlone(model, whole)).outputs[0]?.ids ?? [];
    const end = ids[below(random, Math.max(1, ids.length))] ?? 0;
    all.push(whole, plain(job, { eosTokenIds: [...whole.decoding.eosTokenIds, end] }));
    const ends = [...whole.decoding.eosTokenIds, end];
    // Rules that keep most of the best ids, and some that keep none for long.
    const rules = pick(random, [
      { badWordsIds: [[end], [end + 1, end]] },
      { suppressTokens: [end] },
      { minNewTokens: 12, eosTokenIds: ends },
      { noRepeatNgramSize: 2 },
      { forcedEosTokenIds: ends.slice(0, 1), maxLength: whole.decoding.prefix.length + 9 },
      { sequenceBias: [{ ids: [end], bias: -0.25 }] },
      { repetitionPenalty: 1.4 },
      { exponentialDecayLengthPenalty: [4, 1.2] as [number, number] },
    ]);
    all.push(plain(job, rules));
    all.push(plain(job, { maxLength: whole.decoding.prefix.length + 1 + below(random, 2 * steps) }));
  }
  return all;
}

async function same(single: Seq2SeqModel, looped: Seq2SeqModel, jobs: readonly Job[], schedules: number) {
  const random = seededRandom(3);
  const plains = await withEnds(single, jobs.slice(0, 12), random);
  const mixed = [...plains, ...jobs];
  const expected: Result[] = [];
  for (const job of mixed) expected.push(await runAlone(single, job));
  const made = counted(looped);
  for (const [index, job] of plains.entries())
    assert.deepEqual(wanted(await runAlone(looped, job)), wanted(expected[index]!));
  assert.ok(made.runs > 0 && made.steps > 2 * made.runs, JSON.stringify(made));
  for (let seed = 0; seed < scaled(schedules); seed += 1) {
    // Schedules of plain jobs only, where all steps may be made together, and such with others among them.
    const pool = seed % 3 === 0 ? mixed.length : plains.length;
    const drawn = Array.from({ length: 3 + below(random, 10) }, () => below(random, pool));
    const results = await runSchedule(
      looped,
      drawn.map((i) => mixed[i]!),
      seededRandom(seed),
      0.15,
    );
    results.forEach((result, k) => {
      if (result !== null) assert.deepEqual(tokensOf(result), tokensOf(expected[drawn[k]!]!), `schedule ${seed}`);
    });
  }
  if (looped.greedy?.takeBack !== undefined) assert.ok(made.takenBack > 0, "rules took steps back");
  await Promise.all([single.close(), looped.close()]);
}

/** Plain jobs want no attention; some models hand it out all the same, one step a run. */
function wanted({ streamed, outputs }: Result) {
  return { streamed, outputs: outputs.map((output) => ({ ...output, attention: [] })) };
}

function tokensOf({ streamed, outputs }: Result) {
  return { streamed, outputs: outputs.map(({ ids, reason }) => ({ ids, reason })) };
}

const shipped = [
  { name: "g2p-en", inputs: "training/g2p/test-references.tsv" },
  { name: "itn-en", inputs: "training/itn/heldout-seed.tsv" },
];

for (const { name, inputs } of shipped) {
  test(`${name}: the same tokens in runs of ${steps} steps`, async () => {
    const texts = readTsv(inputs).map(([text = ""]) => text);
    const folder = join("models", name);
    const { model: single, jobs } = await loadJobs(folder, "auto", texts.slice(0, 60));
    const { model: looped, notes } = await loadJobs(folder, "auto", [], 7, { stepsPerRun: steps });
    assert.match(notes.join("\n"), /^up to 5 greedy steps in one run$/mu);
    await same(single, looped, jobs, 30);
  });
}

const zoo = process.env["ZOO_DIR"] ?? "test/zoo";
const folders = readdirSync(zoo).filter((name) => existsSync(join(zoo, name, "oracle.json")));

for (const name of folders) {
  for (const dtype of ["fp32", "int8"]) {
    test(`${name} in ${dtype}: the same tokens in runs of ${steps} steps`, async () => {
      const oracle = JSON.parse(readFileSync(join(zoo, name, "oracle.json"), "utf8")) as {
        generate: { text: string }[];
      };
      const texts = [...new Set(oracle.generate.map(({ text }) => text))].slice(0, 24);
      const { model: single, jobs } = await loadJobs(join(zoo, name), dtype, texts);
      const { model: looped } = await loadJobs(join(zoo, name), dtype, [], 7, { stepsPerRun: steps });
      await same(single, looped, jobs, 25);
    });
  }
}

/** Those of test/fixtures/manifests that can't, and what the note says. */
const oneStep: Readonly<Record<string, RegExp>> = {
  "keras-onehot": /one step a run: the scores are probabilities/,
  "keras-tf2onnx": /one step a run: the scores are probabilities/,
  "single-int8": /one step a run: the decoder has no cache/,
  "stateless-all": /one step a run: the decoder has no cache/,
  "stateless-last": /one step a run: the decoder has no cache/,
  "time-first-stateless": /one step a run: the decoder has no cache/,
};

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: the same tokens in runs of ${steps} steps, or a note why not`, async () => {
    const { model: single, base, cases } = await loadManifestFolder(join(manifestFixtures, kind));
    const { model: looped, notes } = await loadManifestFolder(join(manifestFixtures, kind), steps);
    if (looped.greedy == null) {
      assert.match(notes.join("\n"), oneStep[kind] ?? /^never$/u);
      return void (await Promise.all([single.close(), looped.close()]));
    }
    const details = { wantLogprobs: false, topN: 0, wantAttention: false, deadlineAt: null, priority: 5 };
    const random = seededRandom(5);
    const jobs = cases.map(({ source }) => {
      const options = pick(random, [{}, { numBeams: 2 }, { doSample: true }]);
      return { sourceIds: source, decoding: { ...base, ...options }, ...details };
    });
    await same(single, looped, jobs, 15);
  });
}

test("events with their texts are the same: stop strings, take-overs at every point", async () => {
  const options = inferenceOptions({ modelsDir: "models", cacheDir: ".cache/test" });
  const [single, looped] = await Promise.all([
    createInference(options),
    createInference({ ...options, stepsPerRun: steps }),
  ]);
  await Promise.all([single.ready, looped.ready]);
  for (const { name, inputs } of shipped) {
    for (const [text = ""] of readTsv(inputs).slice(0, 6)) {
      const request = { model: name, inputs: text, parameters: { num_beams: 1 } };
      const whole = await checkEveryCut(looped, request);
      const prepared = await single.prepare(request);
      assert.deepEqual(await undisturbed(single, prepared), whole, text);
      const { text: told } = whole.end.outputs[0]!;
      const stopped = { ...prepared, stop: [told.slice(told.length >> 1, (told.length >> 1) + 2)] };
      const ended = await undisturbed(single, stopped);
      assert.equal(ended.end.outputs[0]?.finishReason, "stop_sequence");
      assert.deepEqual(await undisturbed(looped, stopped), ended, text);
    }
  }
  await Promise.all([single.close(), looped.close()]);
});
