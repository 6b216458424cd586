// Smoke test of a GPU: what no other machine can prove. Skipped with the reason where CUDA can't be used; GPU_TEST_DEVICE=cpu runs the same code there.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTsv } from "../../../bench/tools/workload.js";
import { chooseDevice } from "../../../src/inference/device/choose-device.js";
import { cudaFault } from "../../../src/inference/device/cuda-fault.js";
import { cudaParts } from "../../../src/inference/device/cuda-parts.js";
import { tryDevice } from "../../../src/inference/host/engine-host.js";
import { loadJobs } from "../../support/models/jobs.js";
import { seededRandom } from "../../support/random.js";
import { runAlone, runSchedule, type Job } from "../../support/models/schedules.js";
import { guarded } from "../../../bench/tools/child-guard.js";

const device = process.env["GPU_TEST_DEVICE"] ?? "cuda:0";
const fault = device === "cpu" ? null : cudaFault(cudaParts(true), Number(device.split(":")[1] ?? 0));
const skip = fault === null ? false : `no GPU to test: ${fault.line}`;

test("a session opens and runs on the device, and DEVICE=auto finds it", { skip }, async () => {
  assert.equal(await tryDevice(device), null);
  assert.equal((await chooseDevice(device, "auto")).device, device);
  if (device !== "cpu")
    assert.deepEqual(await chooseDevice("auto", "auto"), { device: "cuda:0", reason: "found", why: null });
});

test("a device that is not there is refused, by the count or at the trial", { skip }, async () => {
  await assert.rejects(chooseDevice("cuda:63", "auto"), /^Error: DEVICE=cuda:63: /u);
});

const models = [
  { folder: "models/g2p-en", dtype: "fp32", inputs: textsOf("training/g2p/test-references.tsv") },
  { folder: "models/itn-en", dtype: "fp32", inputs: textsOf("training/itn/heldout-seed.tsv") },
  ...["bart", "marian", "nllb", "t5"].map((name) => ({
    folder: join("test/zoo", name),
    dtype: "fp32",
    inputs: oracleTexts(join("test/zoo", name, "oracle.json")),
  })),
];

for (const { folder, dtype, inputs } of models) {
  test(`${folder}: greedy tokens as on the CPU, alone and in company`, { skip }, async (t) => {
    const texts = inputs.slice(0, 40);
    const onCpu = await loadJobs(folder, dtype, texts);
    const jobs = onCpu.jobs.map(greedy);
    const expected: (readonly number[])[] = [];
    for (const job of jobs) expected.push((await runAlone(onCpu.model, job)).outputs[0]?.ids ?? []);
    await onCpu.model.close();
    const { model, notes } = await loadJobs(folder, dtype, [], 7, { device });
    t.diagnostic(notes.join("; "));
    const results = await runSchedule(model, jobs, seededRandom(1), 0);
    const same = results.filter((result, i) => result?.outputs[0]?.ids.join() === expected[i]?.join()).length;
    t.diagnostic(`${same} of ${jobs.length} texts to the same token`);
    // TF32 and other kernels may turn a near-tie; wrong graphs turn most.
    assert.ok(same >= 0.9 * jobs.length, `${same} of ${jobs.length}`);
    await model.close();
  });
}

test("the server runs on the device and says so", { skip }, async () => {
  const file = new URL("../../../src/server.js", import.meta.url).pathname;
  const args = [file, "--device", device, "--port", "0", "--log-format", "json"];
  const child = guarded(spawn(process.execPath, args));
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  while (!out.includes('"ready"')) await once(child.stdout, "data");
  const [url] = /http:\/\/[\d.:]+/u.exec(out) ?? [];
  const body = async (path: string) => (await (await fetch(`${url}${path}`)).json()) as Record<string, unknown>;
  assert.equal(((await body("/info"))["device"] as { name: string }).name, device);
  const { models: served } = (await body("/models")) as { models: { state: string; device: string }[] };
  assert.deepEqual(
    served.map(({ state, device: own }) => [state, own]),
    served.map(() => ["ready", device]),
  );
  const answer = await fetch(`${url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs: "twenty five dollars", model: "itn-en" }),
  });
  assert.equal(((await answer.json()) as { generated_text: string }).generated_text, "$25");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

function greedy(job: Job): Job {
  const { decoding } = job;
  const plain = { ...decoding, numBeams: 1, numReturnSequences: 1, doSample: false };
  const rules = { repetitionPenalty: 1, encoderRepetitionPenalty: 1, noRepeatNgramSize: 0, suppressTokens: [] };
  return { ...job, wantLogprobs: false, topN: 0, decoding: { ...plain, ...rules, minLength: 0, minNewTokens: 0 } };
}

function textsOf(file: string): string[] {
  return readTsv(file).map(([text = ""]) => text);
}

function oracleTexts(file: string): string[] {
  const { generate } = JSON.parse(readFileSync(file, "utf8")) as { generate: { text: string }[] };
  return [...new Set(generate.map(({ text }) => text))];
}
