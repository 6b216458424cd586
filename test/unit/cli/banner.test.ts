// The start-up message: what is loaded, on which device, at which URL, with which role; and which command drafts a manifest where one lacks.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { banner, failureLine } from "../../../src/cli/banner.js";
import { reportFolder } from "../../../src/inference/catalog/folder-report.js";
import type { ModelInfo } from "../../../src/inference/catalog/model-info.js";
import { shownUrl } from "../../../src/wiring/scale-out.js";
import { modelInfo } from "../../support/servers/scripted.js";

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

test("the banner says role and Redis; a worker takes no calls, an API node has no weights", () => {
  const facts = { version: "1", url: "http://x", modelsDir: "m", models: [modelInfo()], seconds: 1, colour: false };
  const of = (role: string) => banner({ ...facts, shared: { role, redis: shownUrl("redis://me:secret@redis:1/2") } });
  assert.match(of("all"), /role {5}all, Redis at redis:\/\/redis:1\/2\n/u);
  assert.doesNotMatch(of("all"), /secret/u);
  assert.doesNotMatch(of("worker"), /curl|docs/u);
  assert.match(of("api"), /\* echo {3}on workers\n/u);
});

test("the banner says what is loaded, from where, on which device, and the URL", () => {
  const models = [
    modelInfo(),
    modelInfo({ name: "broken", state: "failed", error: "encoder.onnx: no such file", isDefault: false }),
  ];
  const text = banner({
    version: "1.2.3",
    url: "http://localhost:8080",
    modelsDir: "./models",
    models,
    seconds: 1.25,
    colour: false,
    shared: null,
  });
  for (const part of [
    "seqserve 1.2.3",
    "./models",
    "* echo",
    "fp32 · cpu · 1 engine x 1 thread",
    "encoder.onnx, decoder.onnx",
    "a note",
    "failed: encoder.onnx: no such file",
    "http://localhost:8080/docs",
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  assert.ok(!text.includes("\u001B"));
});

test("the banner says what int8 would gain where it can be made", () => {
  const rowMemory = { perTargetToken: 1, perSourceToken: 1 };
  const proven = {
    batching: "any_age",
    fallbackReason: null,
    bitEqual: true,
    int8: null,
    rowMemory,
    attention: null,
  } as const;
  const shown = (overrides: Partial<ModelInfo>) => {
    const models = [modelInfo({ layout: "transformer", facts: proven, ...overrides })];
    const url = "http://localhost:8080";
    return banner({ version: "1", url, modelsDir: "m", models, seconds: 1, colour: false, shared: null }).includes(
      "DTYPE=int8",
    );
  };
  assert.ok(shown({}));
  assert.ok(!shown({ dtype: "int8" }));
  assert.ok(!shown({ facts: null }));
  assert.ok(!shown({ facts: { ...proven, fallbackReason: "no pattern" } }));
});
