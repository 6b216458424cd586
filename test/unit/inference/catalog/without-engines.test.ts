// A process that prepares requests and runs none (ROLE=api): no weights are read, and what only engines know is learned from those that run elsewhere.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EngineFacts } from "../../../../src/inference/catalog/engine-facts.js";
import { createInference, type Inference } from "../../../../src/inference/inference.js";
import type { ModelInfo } from "../../../../src/inference/catalog/model-info.js";
import { copyPair, copyTransformer } from "../../../support/models/broken-folders.js";
import { inferenceOptions } from "../../../support/models/inference-options.js";
import { undisturbed } from "../../../support/models/take-over.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-api-"));
const cacheDir = join(home, "cache");
const workerDir = join(home, "worker");
const apiDir = join(home, "api");
let worker: Inference;

before(async () => {
  for (const dir of [workerDir, apiDir]) {
    mkdirSync(dir);
    copyPair(join(dir, "pair"));
    copyTransformer(join(dir, "t5"));
  }
  // Graphs are there, as their names decide; nobody reads them.
  for (const file of ["encoder_int8.onnx", "decoder_int8.onnx"]) writeFileSync(join(apiDir, "pair", file), "no graph");
  copyTransformer(join(apiDir, "broken"));
  rmSync(join(apiDir, "broken", "config.json"));
  rmSync(join(apiDir, "broken", "encoder_model.onnx"));
  worker = await createInference(inferenceOptions({ modelsDir: workerDir, cacheDir }));
  await worker.ready;
});
after(async () => {
  await worker.close();
  rmSync(home, { recursive: true, force: true });
});

async function openApi(t: { after(close: () => Promise<void>): void }, loaded: ModelInfo[] = []) {
  const onLoaded = (info: ModelInfo) => void loaded.push(info);
  const api = await createInference(inferenceOptions({ modelsDir: apiDir, cacheDir, startsEngines: false, onLoaded }));
  t.after(() => api.close());
  await api.ready;
  return api;
}

/** As it comes through Redis. */
function announced(model: string): EngineFacts {
  const facts = worker.facts(model);
  assert.ok(facts !== null);
  const wire = JSON.parse(JSON.stringify(facts)) as EngineFacts;
  assert.deepEqual(wire, facts);
  return wire;
}

const stateOf = (inference: Inference, name: string) => inference.models().find((model) => model.name === name);

test("it prepares what a worker then generates, and tokenizes, without a graph that could be read", async (t) => {
  const api = await openApi(t);
  const request = { model: "pair", inputs: "knights", parameters: { num_beams: 2, seed: 1 } };
  const { id: _, ...prepared } = await api.prepare(request);
  const { id: __, ...own } = await worker.prepare(request);
  assert.deepEqual(prepared, own);
  assert.deepEqual(await api.tokenize("pair", "knights"), await worker.tokenize("pair", "knights"));
  const { end } = await undisturbed(worker, await api.prepare(request));
  assert.equal(end.outputs[0]?.text, "N AY1 T S");
  assert.equal(api.detokenize("pair", end.outputs[0]?.ids ?? [], true), "N AY1 T S");
  await assert.rejects(api.prepare({ ...request, inputs: "naïve" }), { kind: "validation", field: "inputs" });
});

test("it runs nothing", async (t) => {
  const api = await openApi(t);
  const prepared = await api.prepare({ model: "pair", inputs: "knights", parameters: {} });
  await assert.rejects(undisturbed(api, prepared), { kind: "unavailable", message: /starts no engines/ });
  assert.equal(api.facts("pair"), null);
  assert.equal(api.variant("pair"), null);
});

test("a model is loading until a worker announces it, then ready; when the last one is gone it is loading again", async (t) => {
  const loaded: ModelInfo[] = [];
  const api = await openApi(t, loaded);
  assert.deepEqual(
    api.models().map(({ name, state }) => [name, state]),
    [
      ["broken", "failed"],
      ["pair", "loading"],
      ["t5", "loading"],
    ],
  );
  assert.deepEqual(
    loaded.map(({ name }) => name),
    ["broken"],
  );
  const before = stateOf(api, "t5");
  assert.deepEqual(before?.limits, stateOf(worker, "t5")?.limits);
  assert.equal(before?.vocabSize, 0);
  for (let times = 0; times < 3; times += 1) api.learn("t5", announced("t5"));
  assert.deepEqual(loaded.map(({ name, state }) => [name, state]).slice(1), [["t5", "ready"]]);
  const [announcedInfo, own] = [stateOf(api, "t5"), stateOf(worker, "t5")];
  for (const field of ["state", "device", "dtype", "files", "notes", "facts", "vocabSize", "attention"] as const)
    assert.deepEqual(announcedInfo?.[field], own?.[field], field);
  assert.equal(announcedInfo?.engines, 0);
  assert.equal(announcedInfo?.memory.weightBytes, own?.memory.weightBytes);
  api.learn("t5", null);
  assert.equal(stateOf(api, "t5")?.state, "loading");
  assert.ok((stateOf(api, "t5")?.vocabSize ?? 0) > 0, "what was announced is kept");
  assert.equal(stateOf(api, "pair")?.state, "loading");
});

test("requests that need attention wait for a worker's word, others don't", async (t) => {
  const api = await openApi(t);
  const asking = (model: string, parameters: object) => api.prepare({ model, inputs: "knights", parameters });
  for (const parameters of [{ details: true }, { attention: true }]) {
    const unknown = { kind: "unavailable", message: /no worker has told yet whether/ };
    await assert.rejects(asking("pair", parameters), unknown);
  }
  assert.equal((await asking("pair", { logprobs: true })).wantAttention, false);
  api.learn("pair", announced("pair"));
  assert.equal((await asking("pair", { details: true })).wantAttention, true);
  assert.equal((await asking("pair", { details: true, attention: false })).wantAttention, false);
  api.learn("t5", announced("t5"));
  assert.equal((await asking("t5", { details: true })).wantAttention, true);
  api.learn("t5", { ...announced("t5"), hasAttention: false });
  assert.equal((await asking("t5", { details: true })).wantAttention, false);
  await assert.rejects(asking("t5", { attention: true }), { kind: "validation", field: "parameters.attention" });
});

test("a vocabulary that doesn't fit the workers' scores fails the model, and one that fits brings it back", async (t) => {
  const loaded: ModelInfo[] = [];
  const api = await openApi(t, loaded);
  const facts = announced("pair");
  for (let times = 0; times < 2; times += 1) api.learn("pair", { ...facts, vocabSize: 12 });
  assert.equal(stateOf(api, "pair")?.state, "failed");
  assert.match(stateOf(api, "pair")?.error ?? "", /target\.vocab: \d+ symbols .*the decoder scores 12/);
  await assert.rejects(api.prepare({ model: "pair", inputs: "a", parameters: {} }), { kind: "unavailable" });
  api.learn("pair", facts);
  assert.equal(stateOf(api, "pair")?.state, "ready");
  assert.deepEqual(
    loaded.map(({ state }) => state),
    ["failed", "failed", "ready"],
  );
  assert.throws(() => api.learn("nowhere", facts), { kind: "not_found" });
});
