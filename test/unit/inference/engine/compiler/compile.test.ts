// The compiled pair against the stock files, for every folder of the zoo (and of SEQSERVE_EXTRA_ZOO), split and merged.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../../../../../src/inference/engine/compiler/compile.js";
import { selfCheck } from "../../../../../src/inference/engine/compiler/check/self-check.js";
import { runner, stockCases } from "../graph/sessions.js";

for (const { name, files, layout } of stockCases()) {
  test(`${name}: the compiled step says what the stock files say, for rows of any age, in any company`, async () => {
    const outcome = compile(files);
    assert.ok(outcome.ok, outcome.ok ? "" : `${outcome.reason} (${outcome.node})`);
    const { description } = outcome.value;
    const run = runner(files, outcome.value);
    const result = await selfCheck(run, {
      description,
      stock: layout,
      sourceVocab: description.vocabSize,
      tolerance: 1e-5,
    });
    console.log(
      name,
      JSON.stringify(result),
      JSON.stringify(description.positions),
      description.relativeBias?.maxDistance,
    );
    assert.equal(result.argmaxDifferences, 0);
    assert.ok(result.ok && result.bitEqual, JSON.stringify(result));
    assert.equal(result.positionOffset, description.positions?.offset);
  });
}

for (const { name, files, layout } of stockCases()) {
  test(`${name}: int8 stays near the stock files, and its bits do not depend on company`, async () => {
    const outcome = compile(files, { dtype: "int8" });
    assert.ok(outcome.ok, outcome.ok ? "" : `${outcome.reason} (${outcome.node})`);
    const { description } = outcome.value;
    const run = runner(files, outcome.value);
    const loose = { tolerance: 0.5, sameArgmax: false };
    const result = await selfCheck(run, { description, stock: layout, sourceVocab: description.vocabSize, ...loose });
    console.log(name, JSON.stringify(result));
    assert.ok(result.ok && result.bitEqual, JSON.stringify(result));
    assert.equal(result.positionOffset, description.positions?.offset);
  });
}
