// The digest of a folder: alike wherever the files are alike, another for any byte that decides what the model says. And the variant beside it.
import assert from "node:assert/strict";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { folderDigest } from "../../../../src/inference/folder/digest.js";
import { createInference, type InferenceOptions } from "../../../../src/inference/inference.js";
import { inferenceOptions } from "../../../support/models/inference-options.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-digest-"));
after(() => rmSync(home, { recursive: true, force: true }));

let copies = 0;
function copyOf(folder: string): string {
  const to = join(home, `copy-${copies++}`);
  cpSync(folder, to, { recursive: true });
  return to;
}

const digest = (folder: string, manifest = {}) => folderDigest({ folder, manifest });

async function open(t: { after(close: () => Promise<void>): void }, options: Partial<InferenceOptions>) {
  const cacheDir = join(home, "cache");
  const inference = await createInference(inferenceOptions({ modelsDir: "models", cacheDir, ...options }));
  t.after(() => inference.close());
  await inference.ready;
  return inference;
}

test("a copy has the same digest, and papers don't count", async () => {
  for (const folder of ["models/g2p-en", "test/zoo/nllb"]) {
    const copy = copyOf(folder);
    const same = await digest(folder);
    assert.match(same, /^[0-9a-f]{64}$/);
    for (const file of ["README.md", "LICENSE", "SHA256SUMS", ".gitattributes", "picture.png", "model.safetensors"])
      writeFileSync(join(copy, file), "new");
    assert.equal(await digest(copy), same);
  }
});

test("every byte of a graph of any dtype, of external data, tokenizers, configs and the manifest counts", async () => {
  const folder = copyOf("test/zoo/nllb");
  writeFileSync(join(folder, "onnx", "weights"), "external data");
  const seen = new Set([await digest(folder)]);
  const files = [
    "onnx/encoder_model.onnx",
    "onnx/decoder_model_merged_quantized.onnx",
    "onnx/weights",
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "config.json",
    "generation_config.json",
    "added_tokens.json",
  ];
  for (const file of files) {
    appendFileSync(join(folder, file), " ");
    seen.add(await digest(folder));
  }
  writeFileSync(join(folder, "seqserve.json"), "{}");
  seen.add(await digest(folder));
  renameSync(join(folder, "onnx", "weights"), join(folder, "weights"));
  seen.add(await digest(folder));
  assert.equal(seen.size, files.length + 3);
});

test("where one file ends and the next begins counts", async () => {
  const folders = [
    { a: "xy", b: "z" },
    { a: "x", b: "yz" },
    { "a\n": "xy", b: "z" },
    { a: "xyb", c: "z" },
  ].map((files) => {
    const folder = join(home, `parts-${copies++}`);
    mkdirSync(folder);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    return folder;
  });
  const digests = await Promise.all(folders.map((folder) => digest(folder)));
  assert.equal(new Set(digests).size, folders.length);
});

test("links are followed, as a hub cache has them; a circle ends", async () => {
  const real = copyOf("models/g2p-en");
  const linked = join(home, "linked");
  mkdirSync(linked);
  for (const file of ["encoder.onnx", "encoder_int8.onnx", "decoder.onnx", "decoder_int8.onnx", "seqserve.json"])
    symlinkSync(join(real, file), join(linked, file));
  for (const file of ["source.txt", "target.txt"]) cpSync(join(real, file), join(linked, file));
  assert.equal(await digest(linked), await digest(real));
  symlinkSync(linked, join(linked, "again"));
  assert.equal(await digest(linked), await digest(real));
});

test("a hidden vocabulary that the manifest names counts", async () => {
  const folder = copyOf("models/g2p-en");
  mkdirSync(join(folder, ".text"));
  writeFileSync(join(folder, ".text", "target.txt"), "a\nb\n");
  const plain = await digest(folder);
  const manifest = { target: { vocab: ".text/target.txt" } };
  const named = await digest(folder, manifest);
  writeFileSync(join(folder, ".text", "target.txt"), "a\nc\n");
  assert.equal(await digest(folder), plain);
  assert.equal(new Set([plain, named, await digest(folder, manifest)]).size, 3);
});

test("a model's digest is one whatever DTYPE makes of it, with engines or without; its variant tells them apart", async (t) => {
  const int8 = await open(t, { dtype: "int8" });
  const fp32 = await open(t, { dtype: "fp32" });
  const none = await open(t, { startsEngines: false });
  for (const model of ["g2p-en", "itn-en"]) {
    const expected = await digest(`models/${model}`, model === "g2p-en" ? { source: { vocab: "source.txt" } } : {});
    for (const inference of [int8, fp32, none]) assert.equal(await inference.digest(model), expected);
  }
  assert.match(int8.variant("g2p-en") ?? "", /^recurrent\/int8\/cpu\/stock\/ort\d+\.\d+/);
  assert.match(fp32.variant("g2p-en") ?? "", /^recurrent\/fp32\/cpu\/stock\/ort\d+\.\d+/);
  assert.match(int8.variant("itn-en") ?? "", /^transformer\/int8\/cpu\/rewritten\d+\/ort/);
  assert.match(fp32.variant("itn-en") ?? "", /^transformer\/fp32\/cpu\/rewritten\d+\/ort/);
});

test("it is read once a load, when first asked for", async (t) => {
  const modelsDir = join(home, "once");
  mkdirSync(modelsDir);
  cpSync("models/g2p-en", join(modelsDir, "pair"), { recursive: true });
  const inference = await open(t, { modelsDir });
  const first = await inference.digest("pair");
  appendFileSync(join(modelsDir, "pair", "seqserve.json"), "\n");
  assert.equal(await inference.digest("pair"), first);
  assert.notEqual(await digest(join(modelsDir, "pair")), first);
  await assert.rejects(inference.digest("nowhere"), { kind: "not_found" });
});
