// Many broken and hostile folders in one MODELS_DIR: each is refused in one line that names the fault, healthy models beside them serve on, memory returns.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { GenerationEvent } from "../../src/generation.js";
import { createInference, type Inference } from "../../src/inference/inference.js";
import { brokenFolders, copyPair, copyTransformer } from "../support/models/broken-folders.js";
import { inferenceOptions } from "../support/models/inference-options.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-broken-"));
const modelsDir = join(home, "models");
const loadBoundMs = 60_000;

before(() => {
  mkdirSync(modelsDir);
  copyTransformer(join(home, "outside", "t5"));
  copyPair(join(home, "outside", "g2p"));
  for (const folder of brokenFolders) folder.make(modelsDir);
  copyPair(join(modelsDir, "healthy-g2p"));
  copyTransformer(join(modelsDir, "healthy-t5"));
});
after(() => rmSync(home, { recursive: true, force: true }));

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function load(): Promise<Inference> {
  const inference = await createInference(inferenceOptions({ modelsDir, cacheDir: join(home, "cache") }));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const stuck = inference.models().filter(({ state }) => state === "loading");
      reject(new Error(`still loading: ${stuck.map(({ name }) => name).join(", ")}`));
    }, loadBoundMs);
  });
  await Promise.race([inference.ready, late]).finally(() => clearTimeout(timer));
  return inference;
}

async function answer(inference: Inference, model: string, inputs: string): Promise<string> {
  const prepared = await inference.prepare({ model, inputs, parameters: { max_new_tokens: 16 } });
  let last: GenerationEvent | null = null;
  for await (const event of inference.generate(prepared, new AbortController().signal)) last = event;
  assert.equal(last?.type, "end");
  return (last as Extract<GenerationEvent, { type: "end" }>).outputs[0]?.text ?? "";
}

test("every broken folder is refused in one line that names the fault; healthy ones answer", async (t) => {
  assert.ok(brokenFolders.length >= 40);
  const inference = await load();
  t.after(() => inference.close());
  const infos = new Map(inference.models().map((info) => [info.name, info]));
  const word = await answer(inference, "healthy-g2p", "hello");
  assert.match(word, /^HH .* L OW/);
  await answer(inference, "healthy-t5", "hello");
  for (const { name, says } of brokenFolders) {
    await t.test(name, async () => {
      const info = infos.get(name);
      assert.equal(info?.state, "failed", `${name} is ${info?.state ?? "not listed"}`);
      const error = info?.error ?? "";
      assert.match(error, says);
      assert.ok(!/[\n\r]/u.test(error), "one line");
      assert.ok(error.length <= 600, `${error.length} characters`);
      await assert.rejects(inference.prepare({ model: name, inputs: "hello", parameters: {} }), /failed to load/);
    });
  }
  assert.equal(await answer(inference, "healthy-g2p", "hello"), word);
});

test("memory returns after loading and closing them again and again", async () => {
  const rss: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    await (await load()).close();
    collectGarbage();
    rss.push(process.memoryUsage.rss() / 2 ** 20);
  }
  const grown = (rss.at(-1) ?? 0) - (rss[1] ?? 0);
  assert.ok(grown < 100, `${grown.toFixed(0)} MiB more: ${rss.map((size) => size.toFixed(0)).join(", ")}`);
});
