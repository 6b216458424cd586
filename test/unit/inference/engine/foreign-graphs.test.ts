// Graphs as other exporters leave them: a fixed batch of 1, sizes without names, masks that mark padding. Same answers, with the reason where it costs.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  type GraphProto,
  type TensorShapeProto_Dimension,
} from "onnx-buf";
import { loadManifestFolder, manifestFixtures, oracleJob } from "../../../support/models/manifests.js";
import { seededRandom } from "../../../support/random.js";
import { largestDifference, runAlone, runSchedule, type Result } from "../../../support/models/schedules.js";

function rewritten(kind: string, files: readonly string[], rewrite: (graph: GraphProto) => void): string {
  const folder = mkdtempSync(join(tmpdir(), "seqserve-foreign-"));
  cpSync(join(manifestFixtures, kind), folder, { recursive: true });
  for (const file of files) {
    const model = fromBinary(ModelProtoSchema, readFileSync(join(folder, file)));
    rewrite(model.graph!);
    writeFileSync(join(folder, file), toBinary(ModelProtoSchema, model));
  }
  return folder;
}

function eachDim(graph: GraphProto, change: (dim: TensorShapeProto_Dimension) => void): void {
  for (const { type } of [...graph.input, ...graph.output])
    if (type?.value.case === "tensorType") for (const dim of type.value.value.shape?.dim ?? []) change(dim);
}

async function answersAsOracle(folder: string): Promise<string> {
  const { model, notes, base, cases } = await loadManifestFolder(folder);
  const jobs = cases.map(({ source }) => oracleJob(base, source, {}));
  const results = await runSchedule(model, jobs, seededRandom(1), 0);
  results.forEach((result, i) => assert.deepEqual(result?.outputs[0]?.ids, cases[i]!.greedy));
  await model.close();
  return notes.join("\n");
}

const both = ["encoder.onnx", "decoder.onnx"];

for (const kind of ["gru-attention", "length-first", "input-feeding", "stateless-all", "time-first"]) {
  test(`${kind} with a fixed batch of 1 runs one row at a time`, async () => {
    const folder = rewritten(kind, both, (graph) =>
      eachDim(graph, (dim) => {
        if (dim.value.case === "dimParam" && /^(B|batch)$/u.test(dim.value.value))
          dim.value = { case: "dimValue", value: 1n };
      }),
    );
    assert.match(await answersAsOracle(folder), /one by one, one row a run\n.*fixed batch of 1/);
  });
}

for (const kind of [
  "gru-attention",
  "length-first",
  "input-feeding",
  "stateless-all",
  "stateless-last",
  "fixed-left",
  "time-first",
  "time-first-stateless",
]) {
  test(`${kind} with sizes that have no names is served all the same`, async () => {
    const isSingle = kind === "time-first-stateless";
    const folder = rewritten(kind, isSingle ? ["model.onnx"] : both, (graph) =>
      eachDim(graph, (dim) => {
        if (dim.value.case === "dimParam") dim.value = { case: undefined };
      }),
    );
    assert.match(await answersAsOracle(folder), isSingle ? /rows of any age/ : /any length are encoded together/);
  });
}

test("a manifest that has the order wrong is refused", async () => {
  for (const [kind, isTimeFirst] of [
    ["time-first", false],
    ["gru-attention", true],
  ] as const) {
    const folder = rewritten(kind, [], () => undefined);
    const path = join(folder, "seqserve.json");
    const manifest = JSON.parse(readFileSync(path, "utf8")) as { encoder: object };
    writeFileSync(path, JSON.stringify({ ...manifest, encoder: { ...manifest.encoder, timeFirst: isTimeFirst } }));
    await assert.rejects(
      loadManifestFolder(folder),
      /encoder\.onnx: encoder: a probe run of 1 source of 3 tokens failed/,
    );
  }
});

test("a mask that marks padding is found by the probe", async () => {
  const folder = rewritten("gru-attention", ["decoder.onnx"], (graph) => {
    for (const node of graph.node) node.input = node.input.map((name) => (name === "mask" ? "real" : name));
    graph.node.unshift(create(NodeProtoSchema, { opType: "Not", name: "turned", input: ["mask"], output: ["real"] }));
  });
  assert.match(await answersAsOracle(folder), /rows of any age share a run\n.*masks mark padding here/);
});

test("an encoder whose mask does nothing is fed sources of equal length", async () => {
  const folder = rewritten("stateless-all", ["encoder.onnx"], (graph) => {
    for (const node of graph.node) node.input = node.input.map((name) => (name === "src_mask" ? "src_ones" : name));
    graph.initializer.push(create(TensorProtoSchema, { name: "one", dataType: 7, int64Data: [1n] }));
    graph.node.unshift(
      create(NodeProtoSchema, { opType: "Equal", name: "yes", input: ["src", "src"], output: ["src_yes"] }),
      create(NodeProtoSchema, { opType: "Where", name: "w", input: ["src_yes", "one", "one"], output: ["src_ones"] }),
    );
    // Still an input, or the manifest would not fit.
    graph.node.push(create(NodeProtoSchema, { opType: "Neg", name: "n", input: ["src_mask"], output: ["unused"] }));
  });
  assert.match(await answersAsOracle(folder), /equal length are encoded together.*\nnot "sources of any length/);
});

test("a memory of half as many positions as the source has tokens is masked as a whole, and its attention is not handed out", async () => {
  const folder = rewritten("gru-attention", ["encoder.onnx"], (graph) => {
    for (const node of graph.node) node.output = node.output.map((name) => (name === "memory" ? "every" : name));
    const constant = (name: string, value: bigint) =>
      create(TensorProtoSchema, { name, dataType: 7, dims: [1n], int64Data: [value] });
    graph.initializer.push(constant("from", 0n), constant("to", 1_000_000n), constant("axis", 1n), constant("two", 2n));
    const input = ["every", "from", "to", "axis", "two"];
    graph.node.push(create(NodeProtoSchema, { opType: "Slice", name: "halved", input, output: ["memory"] }));
  });
  const { model, notes, base, cases } = await loadManifestFolder(folder);
  assert.equal(model.hasAttention, false);
  assert.match(
    notes.join("\n"),
    /equal length are encoded together, rows of any age.*decoder\.onnx: "weights" .* 2 .* 3 tokens/s,
  );
  const jobs = cases.map(({ source }) => oracleJob(base, source, {}));
  const alone: Result[] = [];
  for (const job of jobs) alone.push(await runAlone(model, { ...job, wantAttention: false }));
  const together = await runSchedule(model, jobs, seededRandom(2), 0);
  together.forEach((result, i) => assert.ok(largestDifference(result!, alone[i]!) < 1e-4));
  await model.close();
});
