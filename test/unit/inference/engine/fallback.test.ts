// A graph that the compiler does not know is served by its stock files, with the reason; its answers are the same.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, NodeProtoSchema } from "onnx-buf";
import { loadJobs } from "../../../support/models/jobs.js";
import { seededRandom } from "../../../support/random.js";
import { largestDifference, runAlone, runSchedule } from "../../../support/models/schedules.js";

/** bart with a node between a cached key and what reads it: the same numbers, another pattern. */
function brokenFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "seqserve-broken-"));
  cpSync("test/zoo/bart", folder, { recursive: true });
  const path = join(folder, "decoder_with_past_model.onnx");
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  const past = "past_key_values.0.decoder.key";
  for (const node of model.graph!.node) node.input = node.input.map((name) => (name === past ? "detour" : name));
  model.graph!.node.unshift(
    create(NodeProtoSchema, { opType: "Neg", name: "there", input: [past], output: ["negated"] }),
    create(NodeProtoSchema, { opType: "Neg", name: "back", input: ["negated"], output: ["detour"] }),
  );
  writeFileSync(path, toBinary(ModelProtoSchema, model));
  return folder;
}

test("a broken pattern falls back to equal-age cohorts, says why, and gives the same answers alone and in company", async () => {
  const { generate } = JSON.parse(readFileSync("test/zoo/bart/oracle.json", "utf8")) as {
    generate: { text: string }[];
  };
  const texts = [...new Set(generate.map(({ text }) => text))];
  const known = await loadJobs("test/zoo/bart", "fp32", texts);
  const broken = await loadJobs(brokenFolder(), "fp32", texts);
  assert.match(known.notes.join(), /rewritten/);
  assert.match(broken.notes.join(), /stock graphs, rows of equal age together: .+ \(at .+\)/);
  const together = await runSchedule(broken.model, broken.jobs, seededRandom(3), 0);
  for (const [i, job] of known.jobs.entries()) {
    const expected = await runAlone(known.model, { ...job, wantAttention: false });
    assert.ok(largestDifference(together[i]!, expected) < 1e-4);
  }
  await known.model.close();
  await broken.model.close();
});

test("stock quantised files run one row at a time and give the same bits alone and in company", async () => {
  const texts = ["considered", "and then the list", "return", "a b c d e f", "the", "raise"];
  const { model, jobs, notes } = await loadJobs("test/zoo/t5", "quantized", texts);
  assert.match(notes.join(), /one row a run/);
  const together = await runSchedule(model, jobs, seededRandom(1), 0);
  for (const [i, job] of jobs.entries()) assert.equal(largestDifference(together[i]!, await runAlone(model, job)), 0);
  await model.close();
});
