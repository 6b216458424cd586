// Two models on too few cores: an engine with much to do yields to one with little, and each gives what it gives alone.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EngineHost } from "../../src/inference/host/engine-host.js";
import { EngineLoads } from "../../src/inference/protocol/engine-loads.js";
import { createInference, type Inference } from "../../src/inference/inference.js";
import { engineJobs } from "../support/models/jobs.js";
import { inferenceOptions } from "../support/models/inference-options.js";

async function answerOf(inference: Inference, model: string, inputs: string, minNewTokens: number): Promise<string> {
  const prepared = await inference.prepare({ model, inputs, parameters: { min_new_tokens: minNewTokens } });
  for await (const event of inference.generate(prepared, new AbortController().signal)) {
    if (event.type === "end") return event.outputs[0]?.text ?? "";
  }
  throw new Error("no end");
}

const words = Array.from({ length: 12 }, (_, i) => `w${"aeiou".repeat(1 + (i % 4))}rd`);

test("no answer changes beside another model's", async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-yielding-"));
  const inference = await createInference(inferenceOptions({ modelsDir: "models", cacheDir }));
  try {
    await inference.ready;
    const alone: string[] = [];
    for (const word of words) alone.push(await answerOf(inference, "g2p-en", word, 20));
    const quietAlone = await answerOf(inference, "itn-en", "twenty five", 60);
    const [quiet, ...busy] = await Promise.all([
      answerOf(inference, "itn-en", "twenty five", 60),
      ...words.map((word) => answerOf(inference, "g2p-en", word, 20)),
    ]);
    assert.deepEqual(busy, alone);
    assert.equal(quiet, quietAlone);
  } finally {
    await inference.close();
    rmSync(cacheDir, { recursive: true });
  }
});

test("an engine with many sequences pauses while another has few, and not when that has none or many", async () => {
  const { jobs, plan, probe } = await engineJobs("models/g2p-en", words);
  const loads = new EngineLoads(1);
  let yieldedMs = 0;
  const host = new EngineHost({
    maxBatchRows: 16,
    maxEncodeTokens: 512,
    threads: 1,
    device: "cpu",
    loads,
    loadTimeoutMs: 60_000,
    onStep: (report) => void (yieldedMs += report.yieldedMs),
    onCrash: (error) => assert.fail(error),
  });
  await host.load(plan, probe);
  const other = loads.claimSlot(1);
  assert.ok(other !== null);
  const yieldedBeside = async (inFlight: number): Promise<number> => {
    other.set(inFlight);
    yieldedMs = 0;
    await Promise.all(jobs.map((job) => eventsOf(host.submit(job, new AbortController().signal).events)));
    return yieldedMs;
  };
  assert.equal(await yieldedBeside(0), 0, "nobody else has anything to do");
  assert.ok((await yieldedBeside(1)) > 0, "the other one has little to do");
  assert.equal(await yieldedBeside(40), 0, "the other one has much to do too");
  await host.close();
});

async function eventsOf(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

test("engines of one model don't yield to each other", async () => {
  let yielded = 0;
  const onStep = (_: string, { yieldedMs }: { readonly yieldedMs: number }) => void (yielded += yieldedMs);
  const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-yielding-"));
  const options = inferenceOptions({ modelsDir: "models", models: ["g2p-en"], cacheDir, engines: 2, onStep });
  const inference = await createInference(options);
  try {
    await inference.ready;
    await Promise.all(words.slice(0, 9).map((word) => answerOf(inference, "g2p-en", word, 40)));
    assert.equal(yielded, 0, "five on one engine, four on the other");
  } finally {
    await inference.close();
    rmSync(cacheDir, { recursive: true });
  }
});
