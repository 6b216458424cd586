// A folder without a manifest gets a draft: roles as a person would have written them for every kind of test model, confirmed by a run.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema } from "onnx-buf";
import { draftManifest } from "../../../../src/inference/folder/draft/draft-manifest.js";
import { runDraft } from "../../../../src/inference/catalog/draft-run.js";
import { checkManifest } from "../../../../src/inference/folder/manifest.js";
import { loadManifestFolder, manifestFixtures, oracleJob } from "../../../support/models/manifests.js";
import { runAlone } from "../../../support/models/schedules.js";

const runOptions = { dtype: "auto", cacheDir: ".cache/test", loadTimeoutMs: 60_000 };

interface Written {
  readonly encoder?: object;
  readonly decoder: object;
  readonly source: { vocab: string[] };
  readonly target: { vocab: string[]; bos: string; eos: string };
}

/** The kind's graphs and vocabularies, without its manifest. */
function bareFolder(kind: string): { folder: string; written: Written } {
  const from = join(manifestFixtures, kind);
  const folder = mkdtempSync(join(tmpdir(), "seqserve-draft-"));
  for (const file of readdirSync(from)) if (file.endsWith(".onnx")) copyFileSync(join(from, file), join(folder, file));
  const written = JSON.parse(readFileSync(join(from, "seqserve.json"), "utf8")) as Written;
  const list = (symbols: string[]) => symbols.map((one) => one.replace("\t", "\\t").replace("\n", "\\n")).join("\n");
  writeFileSync(join(folder, "source.txt"), list(written.source.vocab));
  writeFileSync(join(folder, "target.txt"), list(written.target.vocab));
  return { folder, written };
}

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: the draft has the roles of the written manifest`, async () => {
    const { folder, written } = bareFolder(kind);
    const draft = await draftManifest(folder);
    const drafted = checkManifest("draft", JSON.parse(draft!.text)) as unknown as Written;
    assert.deepEqual(drafted.encoder, written.encoder);
    assert.deepEqual(drafted.decoder, written.decoder);
    assert.equal(drafted.target.bos, written.target.bos);
    assert.equal(drafted.target.eos, written.target.eos);
    assert.ok(draft!.unsure.length > 0);
  });
}

/** Kinds whose training did what no graph shows; the draft says which field is to be looked at. */
const needsAPerson: Readonly<Record<string, RegExp>> = {
  "fixed-left": /^source\.padSide, reverse: right, no/,
  "keras-tf2onnx": /^source\.padTo, padSide: needed where training padded/,
};

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: the draft, saved as it is, ${kind in needsAPerson ? "loads and says what to look at" : "gives the same answers"}`, async () => {
    const { folder } = bareFolder(kind);
    copyFileSync(join(manifestFixtures, kind, "oracle.json"), join(folder, "oracle.json"));
    const draft = await runDraft(folder, (await draftManifest(folder))!, runOptions);
    writeFileSync(join(folder, "seqserve.json"), draft.text);
    const { model, source, base, cases } = await loadManifestFolder(folder);
    const doubt = needsAPerson[kind];
    if (doubt !== undefined)
      assert.ok(
        draft.unsure.some((line) => doubt.test(line)),
        draft.unsure.join("\n"),
      );
    for (const { text, source: ids, greedy } of doubt === undefined ? cases : []) {
      assert.deepEqual(
        (await source.encode(text)).map(({ id }) => id),
        ids,
      );
      assert.deepEqual((await runAlone(model, oracleJob(base, ids, {}))).outputs[0]?.ids, greedy, text);
    }
    await model.close();
  });
}

test("a run confirms roles, element types, kinds of scores and sizes; the graph confirms which state is which", async () => {
  const { folder } = bareFolder("keras-tf2onnx");
  const draft = await runDraft(folder, (await draftManifest(folder))!, runOptions);
  const confirmed = draft.confirmed.join("\n");
  assert.match(confirmed, /roles and element types: they ran, and sources of equal length are encoded together/);
  assert.match(confirmed, /scoresAre: probs, as they sum to 1/);
  assert.match(confirmed, /as many symbols \(13 are scored\)/);
  assert.match(confirmed, /order of states.*hidden Identity:0 → input_3 → Identity_1:0, cell Identity_1:0 → input_4/);
  assert.ok(!draft.unsure.some((line) => /scoresAre|order of states/.test(line)));
});

test("states that the files have the other way round are paired by what they are", async () => {
  const { folder } = bareFolder("keras-onehot");
  const path = join(folder, "encoder.onnx");
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  model.graph!.output.reverse();
  writeFileSync(path, toBinary(ModelProtoSchema, model));
  const draft = JSON.parse((await draftManifest(folder))!.text) as {
    encoder: { outputs: { states: string[] } };
    decoder: { inputs: { states: string[] }; outputs: { states: string[] } };
  };
  assert.deepEqual(draft.encoder.outputs.states, ["lstm_1", "lstm"]);
  assert.deepEqual(draft.decoder.inputs.states, ["input_4", "input_3"]);
  assert.deepEqual(draft.decoder.outputs.states, ["lstm_2", "lstm_1"]);
});

test("a mask is known by its sizes, and in the decoder by the encoder's name for it", async () => {
  const { folder } = bareFolder("input-feeding");
  for (const file of ["encoder.onnx", "decoder.onnx"]) {
    const model = fromBinary(ModelProtoSchema, readFileSync(join(folder, file)));
    const renamed = (name: string) => (name === "mask" ? "m" : name);
    for (const input of model.graph!.input) input.name = renamed(input.name);
    for (const node of model.graph!.node) node.input = node.input.map(renamed);
    writeFileSync(join(folder, file), toBinary(ModelProtoSchema, model));
  }
  const draft = JSON.parse((await draftManifest(folder))!.text) as Record<string, { inputs: Record<string, unknown> }>;
  assert.equal(draft["encoder"]?.inputs["mask"], "m");
  assert.equal(draft["decoder"]?.inputs["mask"], "m");
});

test("a draft that does not run says so first", async () => {
  const { folder } = bareFolder("gru-attention");
  writeFileSync(join(folder, "target.txt"), "<s>\n</s>\nA\n");
  const draft = await runDraft(folder, (await draftManifest(folder))!, runOptions);
  assert.match(
    draft.unsure[0] ?? "",
    /^it does not run as it is: .*target\.vocab: 3 symbols .* but the decoder scores 13$/,
  );
  assert.deepEqual(draft.confirmed, []);
});

test("probabilities that no softmax made are found by their sum", async () => {
  const { folder } = bareFolder("keras-onehot");
  const path = join(folder, "decoder.onnx");
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  // Neither a softmax nor something that only hands on.
  const graph = model.graph!;
  for (const node of graph.node) node.output = node.output.map((name) => (name === "dense" ? "made" : name));
  graph.node.push(create(NodeProtoSchema, { opType: "Abs", name: "abs", input: ["made"], output: ["dense"] }));
  writeFileSync(path, toBinary(ModelProtoSchema, model));
  const drafted = (await draftManifest(folder))!;
  assert.ok(!drafted.text.includes("scoresAre"));
  assert.match((await runDraft(folder, drafted, runOptions)).text, /"scoresAre": "probs"/);
});

test("nothing is drafted where there are no graphs, or where the folder says itself what it is", async () => {
  assert.equal(await draftManifest(mkdtempSync(join(tmpdir(), "seqserve-empty-"))), null);
  assert.equal(await draftManifest("models/g2p-en"), null);
  assert.equal(await draftManifest("models/itn-en"), null);
});
