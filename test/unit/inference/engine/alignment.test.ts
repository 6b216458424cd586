// The layer and heads that a manifest names for a transformer reach the graph, and what is handed out is that and nothing else.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../../../../src/inference/engine/models/load-model.js";
import { readFolder } from "../../../../src/inference/folder/folder.js";
import { copyTransformer } from "../../../support/models/broken-folders.js";

async function loaded(manifest: object) {
  const folder = mkdtempSync(join(tmpdir(), "seqserve-alignment-"));
  copyTransformer(folder);
  writeFileSync(join(folder, "seqserve.json"), JSON.stringify(manifest));
  const { plan } = await readFolder(folder, { dtype: "auto", cacheDir: ".cache/test" });
  return loadModel(plan, { threads: 1, device: "cpu" });
}

/** Of the first step, over a source of three tokens. */
async function firstAttention(manifest: object): Promise<{ attention: Float32Array; alignment: unknown }> {
  const { model, facts } = await loaded(manifest);
  assert.ok(model.hasAttention);
  const [memory] = await model.encode([[26, 70, 7]]);
  const row = model.open(memory!);
  const scores = (await model.step([row], [{ kind: "none", attention: true }])).row(0);
  await model.close();
  return { attention: scores.attention!, alignment: facts?.attention };
}

test("each head can be asked for, and all of a layer are their mean", async () => {
  const layer = 0;
  const whole = await firstAttention({ attention: { layer } });
  assert.deepEqual(whole.alignment, { layer, heads: [0, 1, 2, 3] });
  const heads: Float32Array[] = [];
  for (const head of [0, 1, 2, 3]) {
    const one = await firstAttention({ attention: { layer, heads: [head] } });
    assert.deepEqual(one.alignment, { layer, heads: [head] });
    heads.push(one.attention);
  }
  assert.notDeepEqual(heads[0], heads[1]);
  whole.attention.forEach((weight, s) => {
    const mean = heads.reduce((sum, head) => sum + head[s]!, 0) / heads.length;
    assert.ok(Math.abs(weight - mean) < 1e-6);
  });
  assert.notDeepEqual((await firstAttention({})).attention, whole.attention);
});

test("a step hands attention to the rows that want it and to no others", async () => {
  const { model } = await loaded({});
  const rows = (await model.encode([[26, 70, 7], [5, 6], [9]])).map((memory) => model.open(memory));
  const scores = await model.step(rows, [{ kind: "full" }, { kind: "full", attention: true }, { kind: "none" }]);
  assert.deepEqual(
    rows.map((_, index) => scores.row(index).attention?.length),
    [undefined, 2, undefined],
  );
  await model.close();
});
