// A manifest that does not fit its graphs is refused in one line that names file, role, tensor, expected and found.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv } from "ajv";
import { manifestJsonSchema } from "../../../../src/inference/folder/manifest.js";
import { loadManifestFolder } from "../../../support/models/manifests.js";

/** Loads that kind with one value of its manifest set (or, when undefined, removed). */
async function loadWith(kind: string, path: string, value: unknown): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "seqserve-manifest-"));
  cpSync(join("test/fixtures/manifests", kind), folder, { recursive: true });
  const file = join(folder, "seqserve.json");
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const keys = path.split(".");
  const last = keys.pop()!;
  const at = keys.reduce((part, key) => part[key] as Record<string, unknown>, manifest);
  if (value === undefined) delete at[last];
  else at[last] = value;
  writeFileSync(file, JSON.stringify(manifest));
  const { model, notes } = await loadManifestFolder(folder);
  await model.close();
  return notes;
}

const refusals: [kind: string, path: string, value: unknown, message: RegExp][] = [
  [
    "gru-attention",
    "encoder.inputs.ids",
    "idz",
    /encoder\.onnx: encoder\.inputs\.ids: expected a tensor "idz", found "ids", "lengths"$/,
  ],
  [
    "gru-attention",
    "encoder.inputs.lengths",
    undefined,
    /encoder\.onnx: expected a role in encoder\.inputs for "lengths" \(int64 \[B\]\), found none$/,
  ],
  ["gru-attention", "encoder.inputs.onehot", "ids", /seqserve\.json: encoder\.inputs: expected one of ids and onehot$/],
  ["gru-attention", "decoder.inputs.ids", "memory", /decoder\.onnx: expected a role in decoder\.inputs for "token"/],
  [
    "gru-attention",
    "decoder.outputs.scores",
    "weightz",
    /decoder\.onnx: decoder\.outputs\.scores: expected a tensor "weightz"/,
  ],
  [
    "gru-attention",
    "decoder.outputs.scoresAre",
    "probs",
    /scores "scores": scoresAre probs: expected probabilities that sum to 1, found a sum of /,
  ],
  [
    "gru-attention",
    "decoder.outputs.scoresAre",
    "logprobs",
    /scoresAre logprobs: expected probabilities that sum to 1/,
  ],
  [
    "gru-attention",
    "decoder.outputs.states",
    [],
    /decoder\.outputs\.states: expected 1 as decoder\.inputs\.states has, found 0$/,
  ],
  [
    "gru-attention",
    "encoder.outputs.states",
    ["memory"],
    /states "h": expected float32 \[B, S, 48\] as the encoder hands out "memory"|decoder: a probe run/,
  ],
  [
    "gru-attention",
    "encoder.outputs.memory",
    undefined,
    /decoder\.inputs\.memory "memory": expected encoder\.outputs\.memory beside it, found none$/,
  ],
  [
    "gru-attention",
    "source.padToken",
    "@",
    /source\.padToken: the source has no symbol "@"|pad, bos or eos: the vocabulary has no symbol "@"/,
  ],
  [
    "gru-attention",
    "decoder.inputs.targets",
    "token",
    /decoder\.inputs\.(ids|states): has no meaning in layout "stateless"$/,
  ],
  [
    "gru-attention",
    "attention",
    { layer: 0 },
    /attention: names a layer of a transformer; a graph of your own names decoder\.outputs\.attention$/,
  ],
  ["gru-attention", "encoder.file", "other.onnx", /expected the file other\.onnx, not found$/],
  [
    "gru-attention",
    "source.vocab",
    ["<pad>", "</s>", ..."abcdefghijkl"],
    /encoder\.onnx, .*decoder\.onnx: a probe run failed \(largest source id 13: .*out of data bounds/,
  ],
  [
    "keras-onehot",
    "source.vocab",
    [..."abcdefghijklmnop"],
    /encoder\.inputs\.onehot "input_1": expected at least 16 wide as source\.vocab has it, found 11$/,
  ],
  ["fixed-left", "source.padTo", 10, /encoder\.onnx: source\.padTo: expected 12 as the graph has it, found 10$/],
  ["fixed-left", "source.padTo", undefined, /encoder input "ids" takes 12 tokens only: expected source\.padTo 12$/],
  ["fixed-left", "source.padToken", undefined, /source\.padTo: expected source\.padToken beside it, found none$/],
  [
    "input-feeding",
    "decoder.outputs.feed",
    ["context_out"],
    /decoder\.outputs\.feed: expected 2 as decoder\.inputs\.feed has, found 1$/,
  ],
  ["stateless-last", "decoder.inputs.source", undefined, /decoder\.onnx: expected a role in decoder\.inputs for "src"/],
  ["stateless-last", "layout", "recurrent", /decoder\.inputs\.(targets|source): has no meaning in layout "recurrent"$/],
  ["stateless-last", "layout", "transformer", /seqserve\.json: layout "transformer"/],
  [
    "stateless-last",
    "encoder",
    undefined,
    /decoder\.inputs\.memory "memory": expected encoder\.outputs\.memory beside it, found none$/,
  ],
];

for (const [kind, path, value, message] of refusals) {
  test(`${kind} with ${path} ${JSON.stringify(value) ?? "left out"} is refused in one line`, async () => {
    await assert.rejects(loadWith(kind, path, value), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });
}

test("where there is a mask no pad symbol is needed", async () => {
  const notes = await loadWith("stateless-all", "source.padToken", undefined);
  assert.match(notes[0]!, /^sources of any length are encoded together, rows of any age share a run$/);
});

test("a pad symbol that the encoder reads as text costs only company, with the reason", async () => {
  const notes = await loadWith("keras-onehot", "source.padToken", " ");
  assert.match(notes[0]!, /^sources of equal length are encoded together, rows of any age share a run$/);
  assert.match(
    notes[1]!,
    /^not "sources of any length are encoded together": a row's scores move by [\d.]+ % in a probe$/,
  );
});

test("docs/seqserve.schema.json is what the code says, takes every fixture's manifest and refuses a misspelt field", () => {
  const text = readFileSync("docs/seqserve.schema.json", "utf8");
  assert.equal(text, manifestJsonSchema());
  const validate = new Ajv({ strict: false }).compile(JSON.parse(text) as object);
  for (const kind of readdirSync("test/fixtures/manifests")) {
    const manifest = JSON.parse(readFileSync(`test/fixtures/manifests/${kind}/seqserve.json`, "utf8")) as object;
    assert.ok(validate(manifest), `${kind}: ${JSON.stringify(validate.errors)}`);
    assert.ok(!validate({ ...manifest, encodre: {} }));
  }
});
