// Several models in one process: MODEL filters and names the default, one fails alone, idle ones unload and come back, tasks pick prefix and defaults.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GenerationEvent } from "../../../../src/generation.js";
import { createInference, type Inference, type InferenceOptions } from "../../../../src/inference/inference.js";
import type { Parameters } from "../../../../src/parameters.js";
import { copyPair, copyTransformer } from "../../../support/models/broken-folders.js";
import { inferenceOptions } from "../../../support/models/inference-options.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-slots-"));
const modelsDir = join(home, "models");

before(() => {
  mkdirSync(modelsDir);
  copyPair(join(modelsDir, "pair"));
  copyTransformer(join(modelsDir, "t5"));
  const path = join(modelsDir, "t5", "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  config["task_specific_params"] = {
    summarization: { prefix: "summarize: ", num_beams: 4, max_length: 30, early_stopping: true },
    translation_en_to_de: { prefix: "translate English to German: ", max_length: 25 },
  };
  writeFileSync(path, JSON.stringify(config));
  copyTransformer(join(modelsDir, "broken"));
  rmSync(join(modelsDir, "broken", "encoder_model.onnx"));
});
after(() => rmSync(home, { recursive: true, force: true }));

async function open(t: { after(close: () => Promise<void>): void }, options: Partial<InferenceOptions> = {}) {
  const inference = await createInference(inferenceOptions({ modelsDir, cacheDir: join(home, "cache"), ...options }));
  t.after(() => inference.close());
  await inference.ready;
  return inference;
}

async function text(inference: Inference, model: string, inputs: string, parameters: Parameters = {}): Promise<string> {
  const prepared = await inference.prepare({ model, inputs, parameters });
  let last: GenerationEvent | null = null;
  for await (const event of inference.generate(prepared, new AbortController().signal)) last = event;
  return last?.type === "end" ? (last.outputs[0]?.text ?? "") : "";
}

const states = (inference: Inference) => Object.fromEntries(inference.models().map(({ name, state }) => [name, state]));

test("MODEL filters and names the default; cores go to the models that can be served", async (t) => {
  const some = await open(t, { models: ["t5", "pair"], threads: null, cpus: 4 });
  assert.deepEqual(states(some), { t5: "ready", pair: "ready" });
  assert.equal(some.models().find(({ isDefault }) => isDefault)?.name, "t5");
  const all = await open(t, { threads: null, cpus: 4 });
  assert.deepEqual(states(all), { broken: "failed", pair: "ready", t5: "ready" });
  for (const { state, threads } of all.models()) if (state === "ready") assert.equal(threads, 2);
  await assert.rejects(
    createInference(inferenceOptions({ modelsDir, cacheDir: "none", models: ["t6"] })),
    /MODEL: no folder "t6"/,
  );
});

test("a model without requests unloads, and the next request loads it again and waits", async (t) => {
  const notices: string[] = [];
  const inference = await open(t, {
    models: ["pair", "t5"],
    idleUnloadMs: 300,
    onLoaded: ({ name }) => notices.push(`${name} loaded`),
    onUnloaded: ({ name }) => notices.push(`${name} unloaded`),
  });
  const first = await text(inference, "pair", "hello");
  const areIdle = () => Object.values(states(inference)).every((state) => state === "idle");
  for (let tries = 0; tries < 100 && !areIdle(); tries += 1) await sleep(50);
  assert.deepEqual(states(inference), { pair: "idle", t5: "idle" });
  assert.equal(inference.models()[0]?.engines, 0);
  const answers = await Promise.all(Array.from({ length: 5 }, () => text(inference, "pair", "hello")));
  assert.deepEqual(new Set(answers), new Set([first]));
  const { state, memory } = inference.models()[0] ?? {};
  assert.equal(state, "ready");
  assert.ok((memory?.weightBytes ?? 0) > 2_000_000, "bytes of the files");
  assert.equal(typeof memory?.loadedBytes, "number", "it loaded alone");
  const pair = notices.filter((line) => line.startsWith("pair"));
  // It may have been idle already while the other was loading.
  assert.ok(pair.length >= 3);
  pair.forEach((line, i) => assert.equal(line, i % 2 === 0 ? "pair loaded" : "pair unloaded"));
  assert.equal(pair.at(-1), "pair loaded");
});

test("a request that ends while its model is on its way back does not hang", async (t) => {
  const inference = await open(t, { models: ["pair"], idleUnloadMs: 100 });
  for (let tries = 0; tries < 100 && states(inference)["pair"] !== "idle"; tries += 1) await sleep(50);
  const prepared = await inference.prepare({ model: "pair", inputs: "hello", parameters: {} });
  const abort = new AbortController();
  const events = inference.generate(prepared, abort.signal)[Symbol.asyncIterator]();
  const next = events.next();
  abort.abort(new Error("the client left"));
  await assert.rejects(next, /the client left/);
  assert.match(await text(inference, "pair", "hello"), /^HH /);
});

test("a model that cannot be loaded again says so and comes back when it can", async (t) => {
  const folder = join(modelsDir, "moved");
  copyPair(folder);
  const inference = await open(t, { models: ["moved"], idleUnloadMs: 100 });
  for (let tries = 0; tries < 100 && states(inference)["moved"] !== "idle"; tries += 1) await sleep(50);
  const kept = readFileSync(join(folder, "decoder_int8.onnx"));
  rmSync(join(folder, "decoder_int8.onnx"));
  await assert.rejects(text(inference, "moved", "hello"), /"moved" failed to load again: .*decoder_int8\.onnx/);
  writeFileSync(join(folder, "decoder_int8.onnx"), kept);
  assert.match(await text(inference, "moved", "hello"), /^HH /);
});

test("a load that fails before its engine is asked leaves no thread behind", async (t) => {
  const folder = join(modelsDir, "unpadded");
  copyPair(folder);
  const path = join(folder, "seqserve.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as { source: object };
  writeFileSync(path, JSON.stringify({ ...manifest, source: { ...manifest.source, padToken: null, padTo: 12 } }));
  const ports = () => process.getActiveResourcesInfo().filter((kind) => kind === "MessagePort").length;
  const before = ports();
  const inference = await open(t, { models: ["unpadded"] });
  assert.match(inference.models()[0]?.error ?? "", /source\.padTo: expected source\.padToken beside it/);
  await sleep(200);
  assert.equal(ports(), before);
});

/** Threads of this process, where the system tells. */
function threadCount(): number {
  return process.platform === "linux" ? readdirSync("/proc/self/task").length : 0;
}

test("a load beyond LOAD_TIMEOUT_MS has failed, says so, and its thread ends when it comes out", async (t) => {
  const before = threadCount();
  const inference = await open(t, { models: ["pair", "t5"], loadTimeoutMs: 1 });
  assert.deepEqual(states(inference), { pair: "failed", t5: "failed" });
  for (const { error, engines, memory } of inference.models()) {
    assert.equal(error, "loading took longer than 1 ms (LOAD_TIMEOUT_MS)");
    assert.deepEqual([engines, memory], [0, { weightBytes: null, loadedBytes: null }]);
  }
  await assert.rejects(text(inference, "pair", "hello"), /"pair" failed to load: loading took longer than 1 ms/);
  for (let tries = 0; tries < 200 && threadCount() > before; tries += 1) await sleep(50);
  assert.ok(threadCount() <= before, `${threadCount()} threads, ${before} before`);
});

test("a task picks prefix and defaults of task_specific_params", async (t) => {
  const inference = await open(t, { models: ["t5"] });
  const prepared = (inputs: string, parameters: Parameters) => inference.prepare({ inputs, parameters });
  const plain = await prepared("summarize: hello", {});
  const task = await prepared("hello", { task: "summarization" });
  assert.deepEqual(task.sourceIds, plain.sourceIds);
  assert.deepEqual([task.decoding.numBeams, task.decoding.maxLength, task.decoding.earlyStopping], [4, 30, true]);
  assert.equal(plain.decoding.numBeams, 1);
  const asked = await prepared("hello", { task: "summarization", num_beams: 2 });
  assert.equal(asked.decoding.numBeams, 2, "the request's own parameters win");
  await assert.rejects(prepared("hello", { task: "summarisation" }), {
    message:
      /parameters\.task: .*"summarisation" \(did you mean summarization\?\); it has: summarization, translation_en_to_de/,
  });
  assert.deepEqual(inference.models()[0]?.tasks, ["summarization", "translation_en_to_de"]);
});

test("the manifest's task and inputPrefix are the usual ones; a request's task replaces them", async (t) => {
  const manifest = { task: "translation_en_to_de", parameters: { max_length: 40 } };
  const path = join(modelsDir, "t5", "seqserve.json");
  writeFileSync(path, JSON.stringify(manifest));
  const usual = await open(t, { models: ["t5"] });
  const source = async (inference: Inference, inputs: string, parameters: Parameters = {}) =>
    (await inference.tokenize("t5", inputs)).length === 0
      ? []
      : (await inference.prepare({ inputs, parameters })).sourceIds;
  const german = await source(usual, "hello");
  assert.equal((await usual.prepare({ inputs: "hello", parameters: {} })).decoding.maxLength, 40, "seqserve.json wins");
  const summary = await source(usual, "hello", { task: "summarization" });
  writeFileSync(path, JSON.stringify({ ...manifest, inputPrefix: "" }));
  const bare = await open(t, { models: ["t5"] });
  assert.deepEqual(await source(bare, "translate English to German: hello"), german);
  assert.deepEqual(await source(bare, "summarize: hello"), summary);
});

test("a request's priority lets it have rows before others that wait", async (t) => {
  const inference = await open(t, { models: ["pair"], maxBatchRows: 1 });
  const ended: string[] = [];
  const run = async (name: string, priority?: number) => {
    const request = { model: "pair", inputs: "incomprehensibilities", parameters: {} };
    const prepared = await inference.prepare({ ...request, ...(priority !== undefined && { priority }) });
    assert.equal(prepared.priority, priority ?? 5);
    for await (const { type } of inference.generate(prepared, new AbortController().signal))
      if (type === "end") ended.push(name);
  };
  await Promise.all([run("first", 5), run("late", 10), run("usual"), run("urgent", 1), run("usual too", 5)]);
  assert.deepEqual(ended.slice(-4), ["urgent", "usual", "usual too", "late"]);
});

test("a priority that is none is refused", async (t) => {
  const inference = await open(t, { models: ["pair"] });
  for (const priority of [0, 11, 1.5, Number.NaN]) {
    const request = { inputs: "hello", parameters: {}, priority };
    await assert.rejects(inference.prepare(request), { kind: "validation", field: "priority" });
  }
});
