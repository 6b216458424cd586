// The start-up message: a folder without a manifest is told which command drafts one; a folder that is broken otherwise is not.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { banner, failureLine } from "../../../src/cli/banner.js";
import { reportFolder } from "../../../src/inference/catalog/folder-report.js";

const options = {
  device: "cpu",
  dtype: "auto",
  cacheDir: "none",
  engines: 1,
  threads: 1,
  maxBatchRows: 4,
  maxEncodeTokens: 64,
  limits: { maxInputTokens: null, maxNewTokens: 16, maxBeams: 1 },
  idleUnloadMs: 0,
  loadTimeoutMs: 60_000,
};

test("the line of a folder without a manifest names the command that drafts one", async () => {
  const modelsDir = mkdtempSync(join(tmpdir(), "seqserve-banner-"));
  const [bare, broken] = [join(modelsDir, "bare"), join(modelsDir, "broken")];
  for (const folder of [bare, broken]) {
    mkdirSync(folder);
    for (const file of ["encoder_int8.onnx", "decoder_int8.onnx", "source.txt", "target.txt"])
      copyFileSync(join("models/g2p-en", file), join(folder, file));
  }
  writeFileSync(join(broken, "seqserve.json"), "{}");
  const reports = [await reportFolder(bare, options), await reportFolder(broken, options)] as const;
  const models = reports.map(({ info }) => info);
  assert.deepEqual(
    models.map((model) => failureLine(model, modelsDir).endsWith(" drafts a manifest")),
    [true, false],
  );
  assert.equal(reports[1].draft, null);
  assert.match(reports[0].draft?.confirmed[0] ?? "", /they ran/u);
  assert.ok(
    (models[0]?.error ?? "").endsWith("found decoder_int8.onnx, encoder_int8.onnx"),
    "the line of /models is short",
  );
  const facts = { version: "0", url: "http://localhost", modelsDir, models, seconds: 1, colour: false, shared: null };
  assert.ok(banner(facts).includes(`; \`seqserve check ${bare}\` drafts a manifest\n`));
});
