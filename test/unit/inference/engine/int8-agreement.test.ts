// What int8 of our own costs: greedy tokens on which it agrees with fp32, teacher-forced, on real texts.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTsv } from "../../../../bench/tools/workload.js";
import { greedyAgreement } from "../../../../src/inference/engine/models/transformer/int8-agreement.js";
import { loadJobs } from "../../../support/models/jobs.js";

async function agreementOn(folder: string, texts: readonly string[]): Promise<number> {
  const reference = await loadJobs(folder, "fp32", texts);
  const candidate = await loadJobs(folder, "int8", texts);
  // The fallback would agree as well: with stock fp32 graphs.
  for (const { notes } of [reference, candidate]) assert.match(notes.join(), /rewritten/);
  const [first] = reference.jobs;
  const { tokens, same } = await greedyAgreement(reference.model, candidate.model, {
    sources: reference.jobs.map((job) => job.sourceIds),
    startId: first!.decoding.prefix[0]!,
    eosIds: first!.decoding.eosTokenIds,
    maxTokens: 48,
  });
  await reference.model.close();
  await candidate.model.close();
  assert.ok(tokens > 200);
  return same / tokens;
}

test("itn-en: int8 agrees with fp32 on at least 98 % of greedy tokens", async () => {
  const texts = readTsv("training/itn/heldout-seed.tsv").map(([text = ""]) => text);
  const share = await agreementOn("models/itn-en", texts.slice(0, 150));
  assert.ok(share >= 0.98, `${(100 * share).toFixed(2)} %`);
});

for (const name of readdirSync("test/zoo").filter((entry) => existsSync(join("test/zoo", entry, "oracle.json")))) {
  test(`zoo ${name}: int8 agrees with fp32 on at least 95 % of greedy tokens`, async () => {
    const { tokenize } = JSON.parse(readFileSync(join("test/zoo", name, "oracle.json"), "utf8")) as {
      tokenize: { text: string }[];
    };
    const share = await agreementOn(
      join("test/zoo", name),
      tokenize.map(({ text }) => text).filter((text) => text !== ""),
    );
    assert.ok(share >= 0.95, `${(100 * share).toFixed(2)} %`);
  });
}
