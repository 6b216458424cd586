// Every layout of a transformer folder: at the top or under onnx/, split or merged, each dtype suffix, weights beside the graph, files missing.
// Folders are made from the zoo by renaming.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { after, test } from "node:test";
import type { TransformerPlan } from "../../../../src/inference/protocol/plan.js";
import { readModel } from "../../../../src/inference/onnx/read-model.js";
import { saveModels } from "../../../../src/inference/onnx/weights-file.js";
import { readFolder } from "../../../../src/inference/folder/folder.js";
import { loadJobs } from "../../../support/models/jobs.js";
import { seededRandom } from "../../../support/random.js";
import { largestDifference, runAlone, runSchedule } from "../../../support/models/schedules.js";

const root = mkdtempSync(join(tmpdir(), "seqserve-folder-"));
after(() => rmSync(root, { recursive: true, force: true }));

const split = ["encoder_model", "decoder_model", "decoder_with_past_model"];
const merged = ["encoder_model", "decoder_model_merged"];

/** A folder with empty graphs of these names: plans are made from names alone. */
function named(place: "." | "onnx", ...files: string[]): string {
  const folder = mkdtempSync(join(root, "named-"));
  mkdirSync(join(folder, place), { recursive: true });
  for (const file of files) writeFileSync(join(folder, place, `${file}.onnx`), "");
  return folder;
}

async function planOf(folder: string, dtype = "auto", device = "cpu") {
  const read = await readFolder(folder, { dtype, cacheDir: "unused", device });
  const { encoderFile, mergedFile, decoderFile, decoderWithPastFile } = read.plan as TransformerPlan;
  const files = [encoderFile, mergedFile, decoderFile, decoderWithPastFile].filter((file) => file !== null);
  return { ...read, paths: files.map((file) => relative(folder, file)) };
}

const dtypes = ["fp32", "fp16", "int8", "uint8", "quantized", "q4", "q4f16", "bnb4"];

for (const place of [".", "onnx"] as const) {
  for (const stems of [split, merged]) {
    test(`${place === "." ? "at the top" : "under onnx/"}, ${stems === split ? "split" : "merged"}: each dtype by name, alone and by auto`, async () => {
      for (const dtype of dtypes) {
        const files = stems.map((stem) => (dtype === "fp32" ? stem : `${stem}_${dtype}`));
        const folder = named(place, ...files);
        for (const wanted of [dtype, "auto"]) {
          const { paths, dtype: found, plan, why } = await planOf(folder, wanted);
          assert.deepEqual(
            paths,
            files.map((file) => join(place, `${file}.onnx`)),
          );
          assert.equal(found, dtype);
          assert.equal((plan as TransformerPlan).dtype, "stored");
          assert.equal(why, "");
        }
      }
    });
  }
}

test("auto takes the exact files and says what else is there; on a GPU half precision", async () => {
  const all = [...merged, ...merged.map((stem) => `${stem}_quantized`), ...merged.map((stem) => `${stem}_fp16`)];
  const folder = named("onnx", ...all);
  const exact = await planOf(folder);
  assert.equal(exact.dtype, "fp32");
  assert.equal(exact.why, "fp32 files: DTYPE auto takes the exact files; also there: fp16, quantized");
  const half = await planOf(folder, "auto", "cuda:0");
  assert.equal(half.dtype, "fp16");
  assert.equal(half.why, "fp16 files: DTYPE auto takes what a GPU is fast in; also there: fp32, quantized");
  const none = named(".", ...merged, ...merged.map((stem) => `${stem}_quantized`));
  assert.equal((await planOf(none, "auto", "cuda:0")).dtype, "fp32");
});

test("int8 is not made for a GPU: DTYPE=int8 is refused there, a manifest's preference passed over", async () => {
  const folder = named(".", ...split);
  await assert.rejects(planOf(folder, "int8", "cuda:1"), {
    message: `${folder}: DTYPE int8: int8 is made for CPUs (CUDA has no kernel for its products): on cuda:1 take auto, fp16 or fp32`,
  });
  assert.equal((await planOf(folder, "fp32", "cuda:1")).dtype, "fp32");
  for (const [device, dtype] of [
    ["cuda:0", "fp32"],
    ["cpu", "int8"],
  ] as const)
    assert.equal((await readFolder("models/g2p-en", { dtype: "auto", cacheDir: "none", device })).dtype, dtype);
});

test("int8 is made from fp32 files; a folder's own serve where there are none", async () => {
  const own = await planOf(named(".", ...split, ...split.map((stem) => `${stem}_int8`)), "int8");
  assert.deepEqual([own.dtype, (own.plan as TransformerPlan).dtype, own.paths.length], ["int8", "int8", 3]);
  assert.ok(own.paths.every((path) => !path.includes("_int8")));
});

test("a merged decoder goes before its halves, and an incomplete dtype is passed over", async () => {
  assert.deepEqual(
    (await planOf(named(".", ...split, ...merged))).paths,
    merged.map((stem) => `${stem}.onnx`),
  );
  const partly = named(".", "encoder_model", ...merged.map((stem) => `${stem}_q4`));
  assert.equal((await planOf(partly)).dtype, "q4");
});

test("files under onnx/ may be missing while the top has them", async () => {
  const folder = named(".", ...split);
  mkdirSync(join(folder, "onnx"));
  assert.equal((await planOf(folder)).paths.length, 3);
});

test("what is missing is named in one line, with what was found", async () => {
  const refusals: [string, string, RegExp][] = [
    [named("."), "auto", /: encoder: expected encoder_model\.onnx \(or a seqserve\.json .*\); found no \.onnx file$/],
    [named(".", "decoder_model"), "auto", /: encoder: expected encoder_model\.onnx .*; found decoder_model\.onnx$/],
    [
      named(".", "encoder_model", "decoder_model"),
      "auto",
      /: decoder: expected decoder_model_merged\.onnx, or decoder_model\.onnx with decoder_with_past_model\.onnx; found decoder_model\.onnx, encoder_model\.onnx$/,
    ],
    [named("onnx", "encoder_model_q4"), "q4", /: decoder: expected decoder_model_merged_q4\.onnx, or /],
    [
      named(".", ...split, ...split.map((s) => `${s}_q4`)),
      "fp16",
      /DTYPE fp16: expected encoder_model_fp16\.onnx, found fp32, q4$/,
    ],
  ];
  for (const [folder, dtype, message] of refusals) {
    await assert.rejects(planOf(folder, dtype), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(folder) && !error.message.includes("\n"));
      return true;
    });
  }
});

test("generation_config.json may be missing; one that is not JSON is named", async () => {
  const folder = named(".", ...split);
  assert.deepEqual((await planOf(folder)).generationConfig, {});
  writeFileSync(join(folder, "generation_config.json"), "{");
  await assert.rejects(planOf(folder), /generation_config\.json: not JSON: /);
});

const texts = ["considered", "and then the list", "return", "a b c d e f", "the", "raise"];

function zooCopy(name: string): string {
  const folder = mkdtempSync(join(root, `${name}-`));
  cpSync(join("test/zoo", name), folder, { recursive: true });
  return folder;
}

function graphsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".onnx"))
    .map((name) => join(folder, name));
}

async function assertSame(folder: string, dtype: string, reference: string, tolerance: number): Promise<string> {
  const known = await loadJobs(reference, "fp32", texts);
  const other = await loadJobs(folder, dtype, texts);
  const together = await runSchedule(other.model, other.jobs, seededRandom(5), 0);
  for (const [i, job] of known.jobs.entries()) {
    const alone = await runAlone(other.model, other.jobs[i]!);
    assert.ok(largestDifference(together[i]!, alone) <= 1e-5);
    if (tolerance < Infinity) assert.ok(largestDifference(alone, await runAlone(known.model, job)) <= tolerance);
  }
  await Promise.all([known.model.close(), other.model.close()]);
  return other.notes.join();
}

test("under onnx/, with weights in a file beside the graph and without generation_config.json, answers are the same", async () => {
  const folder = zooCopy("t5");
  rmSync(join(folder, "generation_config.json"));
  mkdirSync(join(folder, "onnx"));
  for (const path of graphsIn(folder)) {
    const stem = basename(path, ".onnx");
    if (stem.endsWith("_quantized") || stem.endsWith("_merged")) rmSync(path);
    else {
      const draft = mkdtempSync(join(root, "draft-"));
      saveModels(draft, { [stem]: readModel(path) });
      // One sidecar per graph: a name of the same length in the graph's bytes.
      const sidecar = `weights.bi${split.indexOf(stem)}`;
      const graph = readFileSync(join(draft, `${stem}.onnx`), "latin1").replaceAll("weights.bin", sidecar);
      writeFileSync(join(folder, "onnx", `${stem}.onnx`), graph, "latin1");
      renameSync(join(draft, "weights.bin"), join(folder, "onnx", sidecar));
      rmSync(path);
    }
  }
  assert.match(await assertSame(folder, "auto", "test/zoo/t5", 1e-5), /rewritten/);
});

test("a missing sidecar is one line that names it", async () => {
  const folder = zooCopy("bart");
  for (const stem of split) {
    const draft = mkdtempSync(join(root, "draft-"));
    saveModels(draft, { [stem]: readModel(join(folder, `${stem}.onnx`)) });
    cpSync(join(draft, `${stem}.onnx`), join(folder, `${stem}.onnx`));
  }
  await assert.rejects(loadJobs(folder, "auto", texts), (error: Error) => {
    assert.match(error.message, /encoder_model\.onnx: .*weights\.bin/);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  });
});

for (const [kind, served] of [
  ["casts", /rewritten for rows of any age/],
  ["pure", /stock graphs, rows of equal age together: the files hand out half precision/],
] as const) {
  test(`half precision (${kind}) is served, alone as in company`, async () => {
    const folder = zooCopy("marian");
    for (const path of graphsIn(folder)) rmSync(path);
    cpSync(join("test/fixtures/half", kind), folder, { recursive: true });
    assert.match(await assertSame(folder, "fp16", "test/zoo/marian", Infinity), served);
  });
}
