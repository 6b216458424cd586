// What /models and /info tell of a transformer before anything is admitted: what a row costs, what was rewritten, what int8 changes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";

let server: RunningServer;
before(async () => {
  server = await startServer({ MODELS_DIR: "test/zoo", MODEL: "marian,t5", DTYPE: "int8" });
});
after(() => server.stop());

interface Model {
  readonly name: string;
  readonly limits: { max_input_tokens: number; max_new_tokens: number };
  readonly graphs: { rewritten: boolean; reason: string | null; batching: string; bit_equal: boolean | null };
  readonly int8_agreement: { tokens: number; same: number; share: number };
  readonly row_memory: { bytes_per_target_token: number; bytes_per_source_token: number; bytes_at_limits: number };
}

async function get<T>(path: string): Promise<T> {
  return (await (await fetch(server.url + path)).json()) as T;
}

test("a model tells bytes per row, from its own shape, and at its limits", async () => {
  const { row_memory, limits } = await get<Model>("/models/marian");
  const config = JSON.parse(readFileSync("test/zoo/marian/config.json", "utf8")) as Record<string, number>;
  const perToken = 2 * 4 * config["decoder_layers"]! * config["d_model"]!;
  assert.equal(row_memory.bytes_per_target_token, perToken);
  assert.equal(row_memory.bytes_per_source_token, perToken);
  const padded = (tokens: number) => Math.ceil(tokens / 16) * 16;
  const tokens = padded(limits.max_input_tokens) + padded(limits.max_new_tokens);
  assert.equal(row_memory.bytes_at_limits, tokens * perToken);
});

test("a model tells that it was rewritten, that bits agree, and how far int8 agrees with fp32; /info has the same", async () => {
  const { models } = await get<{ models: Model[] }>("/info");
  assert.deepEqual(
    models.map(({ name }) => name),
    ["marian", "t5"],
  );
  for (const model of models) {
    const attention = { layer: 1, heads: [0, 1, 2, 3] };
    const graphs = { rewritten: true, reason: null, batching: "any_age", bit_equal: true, attention };
    assert.deepEqual(model.graphs, graphs);
    const { tokens, same, share } = model.int8_agreement;
    assert.ok(tokens > 100 && share === same / tokens && share >= 0.9, JSON.stringify(model.int8_agreement));
    assert.deepEqual(await get(`/models/${model.name}`), model);
  }
});

test("a model that is not rewritten says why, and which rows share a run", async () => {
  const quantised = await startServer({ MODELS_DIR: "test/zoo", MODEL: "t5", DTYPE: "quantized" });
  try {
    const model = (await (await fetch(`${quantised.url}/models/t5`)).json()) as Model;
    const reason = "the files quantise activations per tensor";
    assert.deepEqual(model.graphs, { rewritten: false, reason, batching: "one_row", bit_equal: null, attention: null });
    assert.equal(model.int8_agreement, null);
    assert.ok(model.row_memory.bytes_per_target_token > 0 && model.row_memory.bytes_per_source_token > 0);
  } finally {
    await quantised.stop();
  }
});
