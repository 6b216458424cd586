// Two models on too few cores: the one with much to do rests while the other has little, both give what they give alone.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createInference, type Inference } from "../../src/inference/inference.js";
import { inferenceOptions } from "../support/models/inference-options.js";

async function answerOf(inference: Inference, model: string, inputs: string, minNewTokens: number): Promise<string> {
  const prepared = await inference.prepare({ model, inputs, parameters: { min_new_tokens: minNewTokens } });
  for await (const event of inference.generate(prepared, new AbortController().signal)) {
    if (event.type === "end") return event.outputs[0]?.text ?? "";
  }
  throw new Error("no end");
}

const words = Array.from({ length: 12 }, (_, i) => `w${"aeiou".repeat(1 + (i % 4))}rd`);

test("the busy model rests now and then, the quiet one never, and no answer changes", async () => {
  const restedMs = new Map<string, number>();
  const onStep = (model: string, { yieldedMs }: { readonly yieldedMs: number }) =>
    void restedMs.set(model, (restedMs.get(model) ?? 0) + yieldedMs);
  const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-give-way-"));
  const inference = await createInference(inferenceOptions({ modelsDir: "models", cacheDir, onStep }));
  try {
    await inference.ready;
    const alone: string[] = [];
    for (const word of words) alone.push(await answerOf(inference, "g2p-en", word, 20));
    const quietAlone = await answerOf(inference, "itn-en", "twenty five", 60);
    assert.deepEqual([...restedMs.values()], [0, 0], "nobody rests while the other has nothing to do");
    const [quiet, ...busy] = await Promise.all([
      answerOf(inference, "itn-en", "twenty five", 60),
      ...words.map((word) => answerOf(inference, "g2p-en", word, 20)),
    ]);
    assert.deepEqual(busy, alone);
    assert.equal(quiet, quietAlone);
    assert.ok((restedMs.get("g2p-en") ?? 0) > 0, "g2p-en has rested");
    assert.equal(restedMs.get("itn-en"), 0);
  } finally {
    await inference.close();
    rmSync(cacheDir, { recursive: true });
  }
});

test("engines of one model don't wait for each other", async () => {
  let restedMs = 0;
  const onStep = (_: string, { yieldedMs }: { readonly yieldedMs: number }) => void (restedMs += yieldedMs);
  const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-give-way-"));
  const options = inferenceOptions({ modelsDir: "models", models: ["g2p-en"], cacheDir, engines: 2, onStep });
  const inference = await createInference(options);
  try {
    await inference.ready;
    await Promise.all(words.slice(0, 9).map((word) => answerOf(inference, "g2p-en", word, 40)));
    assert.equal(restedMs, 0, "five on one engine, four on the other");
  } finally {
    await inference.close();
    rmSync(cacheDir, { recursive: true });
  }
});
