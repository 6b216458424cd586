// The attention that a step hands out, against two sources of their own: the Softmax of the stock first-step graph, brought out by its node's name and
// run over the whole target at once, and what transformers' output_attentions gave for the zoo (oracle.json, to 2e-3).
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import {
  attentionOutput,
  handOutAttention,
} from "../../../../../src/inference/engine/compiler/rewrite/attention-output.js";
import {
  encodeRow,
  newCaches,
  stepOutputs,
  floats as floatsOf,
} from "../../../../../src/inference/engine/compiler/check/check-rows.js";
import { compile, type CompileOptions } from "../../../../../src/inference/engine/compiler/compile.js";
import { valueInfo } from "../../../../../src/inference/onnx/node.js";
import {
  attentionMask,
  appendStep,
  integers,
  stepFeeds,
  type Feeds,
} from "../../../../../src/inference/engine/compiler/check/step-feeds.js";
import { stepGraph } from "../../../../../src/inference/engine/compiler/rewrite/step-graph.js";
import { dataType } from "../../../../../src/inference/onnx/tensor.js";
import { runner, type StockCase } from "../graph/sessions.js";
import { decoderCases, laterFeeds, runView, type DecoderCase } from "../graph/stock-feeds.js";
import type { WantedAlignment } from "../../../../../src/inference/protocol/plan.js";

interface OracleCase {
  readonly input_ids: number[];
  readonly decoder_input_ids: number[];
  readonly mean_heads_by_layer: number[][][];
}

function oracleCases({ files }: StockCase): OracleCase[] {
  const place = dirname(files.encoder);
  const path = [join(place, "oracle.json"), join(place, "..", "oracle.json")].find((candidate) =>
    existsSync(candidate),
  );
  if (path === undefined) return [];
  return (JSON.parse(readFileSync(path, "utf8")) as { cross_attention: OracleCase[] }).cross_attention;
}

/** [head][target][source] of one layer, from the stock graph without past. */
async function stockAttention(one: DecoderCase, layer: number, source: number[], target: number[]) {
  const mask = attentionMask([source.length], source.length);
  const { last_hidden_state } = await runner(one.files)(
    "stock.encoder",
    { input_ids: integers(source, [1, source.length]), attention_mask: mask },
    ["last_hidden_state"],
  );
  const view = one.decoder.withoutPast();
  const softmax = view.nodes.filter(
    ({ opType, name }) => opType === "Softmax" && /EncDecAttention|encoder_attn/.test(name),
  );
  assert.equal(softmax.length, one.shape.layers);
  const own = softmax.find(({ name }) => new RegExp(`(block|layers)\\.${layer}/`).test(name))!;
  view.setOutput(valueInfo("weights", dataType.FLOAT, ["B", "H", "T", "S"]), own.output[0]!);
  const feeds: Feeds = {
    ...laterFeeds(one, [1], 0),
    input_ids: integers(target, [1, target.length]),
    encoder_attention_mask: mask,
    encoder_hidden_states: last_hidden_state!,
  };
  const { data, dims } = (await runView(view, feeds, ["weights"]))["weights"]!;
  assert.deepEqual(dims, [1, one.shape.heads, target.length, source.length]);
  const at = (head: number, t: number) => (head * target.length + t) * source.length;
  return Array.from({ length: one.shape.heads }, (_, head) =>
    target.map((_, t) => Array.from(data.slice(at(head, t), at(head, t) + source.length), Number)),
  );
}

/** [target][padded source] of the compiled step, one id after another beside a neighbour of another age. */
async function ownAttention({ files }: StockCase, options: CompileOptions, source: number[], target: number[]) {
  const outcome = compile(files, options);
  assert.ok(outcome.ok);
  const { description } = outcome.value;
  const run = runner(files, outcome.value);
  const width = 16 * Math.ceil(source.length / 16);
  let row = await encodeRow(run, description, source, width);
  const neighbour = row;
  const weights: number[][] = [];
  for (const [age, id] of target.entries()) {
    const feeds = stepFeeds(description, [neighbour, row], [id, id], {
      past: 16 * Math.ceil((age + 1) / 16),
      source: 16,
      filler: 3,
    });
    const outputs = [...stepOutputs(description), attentionOutput];
    const result = await run("step", { ...feeds, attention_rows: integers([1], [1]) }, outputs);
    weights.push(Array.from(floatsOf(result, attentionOutput)));
    row = appendStep(description, row, newCaches(description, result), 1);
  }
  return weights;
}

function mean(rows: readonly (readonly number[])[]): number[] {
  return rows[0]!.map((_, s) => rows.reduce((sum, row) => sum + row[s]!, 0) / rows.length);
}

function near(actual: number[], expected: number[], tolerance: number, what: string): void {
  for (const [s, value] of expected.entries())
    assert.ok(Math.abs(value - actual[s]!) <= tolerance, `${what}: ${actual[s]} is not ${value} at source ${s}`);
  assert.ok(
    actual.slice(expected.length).every((weight) => weight === 0),
    `${what}: padding is looked at`,
  );
  assert.ok(Math.abs(actual.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-5, `${what}: weights sum to 1`);
}

const zoo = decoderCases().filter((one) => oracleCases(one).length > 0);

for (const one of zoo) {
  const { name, shape } = one;
  test(`${name}: each layer's attention is that of the stock graph and of transformers`, async () => {
    for (const { input_ids, decoder_input_ids, mean_heads_by_layer } of oracleCases(one)) {
      for (let layer = 0; layer < shape.layers; layer += 1) {
        const own = await ownAttention(one, { attention: { layer } }, input_ids, decoder_input_ids);
        const stock = await stockAttention(one, layer, input_ids, decoder_input_ids);
        for (const [t, weights] of own.entries()) {
          near(weights, mean(stock.map((head) => head[t]!)), 1e-5, `layer ${layer}, target ${t}`);
          near(weights, mean_heads_by_layer[layer]![t]!, 2e-3, `transformers, layer ${layer}, target ${t}`);
        }
      }
    }
  });
}

for (const one of zoo) {
  const { name, shape } = one;
  const { input_ids, decoder_input_ids } = oracleCases(one)[0]!;
  for (const dtype of ["fp32", "int8"] as const) {
    test(`${name}, ${dtype}: chosen heads are the mean of those heads and of no others`, async () => {
      const wanted: WantedAlignment = { layer: 0, heads: [shape.heads - 1, 0] };
      const own = await ownAttention(one, { dtype, attention: wanted }, input_ids, decoder_input_ids);
      const stock = await stockAttention(one, 0, input_ids, decoder_input_ids);
      const tolerance = dtype === "fp32" ? 1e-5 : 0.2;
      for (const [t, weights] of own.entries())
        near(weights, mean([stock[shape.heads - 1]![t]!, stock[0]![t]!]), tolerance, `target ${t}`);
    });
  }
}

test("a step in which nobody wants attention hands out none", async () => {
  const [one] = zoo;
  const outcome = compile(one!.files);
  assert.ok(outcome.ok);
  const { description } = outcome.value;
  const run = runner(one!.files, outcome.value);
  const row = await encodeRow(run, description, [5, 6, 7], 16);
  const feeds = stepFeeds(description, [row], [5], { past: 16, source: 16 });
  const result = await run("step", { ...feeds, attention_rows: integers([], [0]) }, ["top.ids", attentionOutput]);
  assert.deepEqual(result[attentionOutput]!.dims, [0, 16]);
});

test("where another operator stands between key and Softmax, the graph is left as it was", () => {
  const one = zoo[0]!;
  const { view, shape } = stepGraph(one.decoder.withPast());
  const [transpose] = view.readers("cross.0.key");
  const negative = view.add("Neg", ["cross.0.key"]);
  view.setInput(transpose!, 0, negative);
  const before = view.nodes.length;
  assert.equal(handOutAttention(view, shape, { layer: 0, heads: [0] }), false);
  assert.equal(view.nodes.length, before);
  assert.equal(view.outputs.has(attentionOutput), false);
  assert.equal(handOutAttention(view, shape, { layer: 1, heads: [0] }), true);
});
