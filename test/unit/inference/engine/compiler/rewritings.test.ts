// Each rewriting by itself, on the stock graphs of the zoo: it alone is applied, with the least it needs, and ONNX Runtime says what the stock
// files say. compile.test.ts has all of them together.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseHeads } from "../../../../../src/inference/engine/compiler/rewrite/choose.js";
import { constantShapes } from "../../../../../src/inference/engine/compiler/rewrite/constant-shapes.js";
import { encodeGraph } from "../../../../../src/inference/engine/compiler/rewrite/cross-memory.js";
import { GraphView } from "../../../../../src/inference/onnx/graph.js";
import { int8Products } from "../../../../../src/inference/engine/compiler/rewrite/int8.js";
import { valueInfo } from "../../../../../src/inference/onnx/node.js";
import {
  positionIds,
  positionOf,
  positionsFromInput,
} from "../../../../../src/inference/engine/compiler/rewrite/positions.js";
import { readModel } from "../../../../../src/inference/onnx/read-model.js";
import {
  findRelativeBias,
  maskOnly,
  relativeBias,
  type SelfBias,
} from "../../../../../src/inference/engine/compiler/rewrite/relative-bias.js";
import {
  attentionMask,
  integers,
  type Feeds,
  type PlainTensor,
} from "../../../../../src/inference/engine/compiler/check/step-feeds.js";
import { dataType } from "../../../../../src/inference/onnx/tensor.js";
import { selfBias, twoPartAttention } from "../../../../../src/inference/engine/compiler/rewrite/two-part-attention.js";
import { weightLimit } from "../../../../../src/inference/engine/models/transformer/weight-limit.js";
import { runner } from "../graph/sessions.js";
import {
  apart,
  decoderCases,
  floats,
  laterFeeds,
  rowOf,
  runView,
  stockLater,
  type DecoderCase,
} from "../graph/stock-feeds.js";
import { dropZeroBias, takeScores } from "../../../../../src/inference/engine/compiler/compile.js";

const past = 5;
const near = 1e-5;

/** The decoder with two-part attention and nothing else; `before`: what was added to the first layer's scores. */
function twoPart({ decoder, shape }: DecoderCase) {
  const view = decoder.withPast();
  const [before] = twoPartAttention(view, shape);
  view.inputs.set(selfBias, valueInfo(selfBias, dataType.FLOAT, ["B", "H", 1, "P1"]));
  for (const name of view.outputs.keys()) if (name.startsWith("present.")) view.outputs.delete(name);
  return { view, before };
}

/** What the stock graph itself adds to the scores at that age, [1, heads, 1, past + 1]; zeros where it adds nothing. */
async function stockBias(one: DecoderCase, feeds: Feeds, width: number): Promise<PlainTensor> {
  const { before } = twoPart(one);
  if (before === undefined) return floats(new Float32Array(width + 1), [1, 1, 1, width + 1]);
  const view = one.decoder.withPast();
  view.setOutput(valueInfo("bias", dataType.FLOAT, ["B", "H", 1, "P1"]), before);
  return (await runView(view, feeds, ["bias"]))["bias"]!;
}

function hostBias(bias: SelfBias, ages: readonly number[], width: number): PlainTensor {
  const data = new Float32Array(ages.length * bias.heads * (width + 1));
  bias.fill(Int32Array.from(ages), width, data);
  return floats(data, [ages.length, bias.heads, 1, width + 1]);
}

function lastColumn({ data, dims }: PlainTensor, headDim: number): PlainTensor {
  const [rows, heads, width] = dims as [number, number, number];
  const columns = Array.from({ length: rows * heads }, (_, block) =>
    Array.from((data as Float32Array).subarray(((block + 1) * width - 1) * headDim, (block + 1) * width * headDim)),
  );
  return floats(Float32Array.from(columns.flat()), [rows, heads, 1, headDim]);
}

for (const one of decoderCases()) {
  const { name, files, decoder, shape, vocabSize } = one;

  test(`${name}: the branch of a decoder stands by itself`, async () => {
    const feeds = laterFeeds(one, [1, 2], past);
    const view = decoder.withPast();
    const outputs = ["logits", "present.0.decoder.key"];
    const [expected, actual] = [await stockLater(files, feeds, outputs), await runView(view, feeds, outputs)];
    for (const output of outputs) assert.ok(apart(expected[output], actual[output]) < near, output);
  });

  test(`${name}: attention in two parts gives the logits and the new keys and values of the stock step`, async () => {
    const feeds = laterFeeds(one, [1, 2], past);
    const { view } = twoPart(one);
    const cached = Array.from({ length: shape.layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    const presents = cached.map((cache) => `present.${cache.replace(".", ".decoder.")}`);
    const expected = await stockLater(files, feeds, ["logits", ...presents]);
    const bias = await stockBias(one, laterFeeds(one, [1], past), past);
    const news = cached.map((cache) => `new.${cache}`);
    const actual = await runView(view, { ...feeds, [selfBias]: bias }, ["logits", ...news]);
    assert.ok(apart(expected["logits"], actual["logits"]) < near);
    for (const [i, present] of presents.entries()) {
      assert.ok(apart(lastColumn(expected[present]!, shape.headDim), actual[news[i]!]) < near, present);
    }
  });

  test(`${name}: positions come from an input, so that rows of two ages share a run`, async () => {
    const { view, before } = twoPart(one);
    const relative = before === undefined ? undefined : findRelativeBias(decoder.withPast(), before);
    view.prune();
    const rule = positionsFromInput(view);
    assert.equal(rule === undefined, relative !== undefined);
    const ages = [2, past];
    const feeds = laterFeeds(one, [1, 2], past);
    const host = relative === undefined ? maskOnly() : relativeBias(relative);
    feeds[selfBias] = hostBias(host, ages, past);
    const ids = feeds["input_ids"]!.data;
    if (rule !== undefined) {
      const positions = ages.map((age, row) => positionOf(rule, age, Number(ids[row])));
      feeds[positionIds] = integers(positions, [2, 1]);
    }
    const { logits } = await runView(view, feeds, ["logits"]);
    for (const [index, age] of ages.entries()) {
      const expected = await stockLater(files, laterFeeds(one, [index + 1], age), ["logits"]);
      // Values of a head are laid out column by column, so the first columns of a longer past are those of a shorter one.
      assert.ok(apart(expected["logits"], rowOf(logits!, index)) < near, `age ${age}`);
    }
  });

  test(`${name}: the relative bias of the host is the one the stock graph adds, near and far; other families have none`, async () => {
    const { before } = twoPart(one);
    const rule = before === undefined ? undefined : findRelativeBias(decoder.withPast(), before);
    assert.equal(rule !== undefined, name.startsWith("t5"));
    if (rule === undefined) return;
    const host = relativeBias(rule);
    for (const age of [1, 2, 15, 16, 17, 40, 127, 128, 200]) {
      const expected = await stockBias(one, laterFeeds(one, [1], age), age);
      assert.ok(apart(expected, hostBias(host, [age], age)) < 1e-6, `age ${age}`);
    }
  });

  test(`${name}: the encode graph gives the cross keys and values of the stock first step`, async () => {
    const view = encodeGraph(readModel(files.encoder), decoder.withoutPast(), shape);
    const lengths = [16, 9];
    const source = {
      input_ids: integers(
        lengths.flatMap((length) => Array.from({ length: 16 }, (_, i) => (i < length ? 5 + i : 0))),
        [2, 16],
      ),
      attention_mask: attentionMask(lengths, 16),
    };
    const { last_hidden_state } = await runner(files)("stock.encoder", source, ["last_hidden_state"]);
    const first: Feeds = {
      input_ids: integers([5, 6], [2, 1]),
      encoder_attention_mask: source.attention_mask,
      encoder_hidden_states: last_hidden_state!,
    };
    const parts = Array.from({ length: shape.layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    const presents = parts.map((part) => `present.${part.replace(".", ".encoder.")}`);
    const stock = await runView(decoder.withoutPast(), { ...laterFeeds(one, [1, 2], 0), ...first }, presents);
    const own = await runView(
      view,
      source,
      parts.map((part) => `cross.${part}`),
    );
    for (const [i, part] of parts.entries()) assert.ok(apart(stock[presents[i]!], own[`cross.${part}`]) < near, part);
  });

  test(`${name}: heads choose the k best in order, sum all, and hand out full logits of the rows asked for`, async () => {
    const feeds = laterFeeds(one, [1, 2, 3], past);
    const { logits } = await stockLater(files, feeds, ["logits"]);
    for (const k of [1, 8, vocabSize]) {
      const view = decoder.withPast();
      for (const output of view.outputs.keys()) if (output !== "logits") view.outputs.delete(output);
      chooseHeads(view, takeScores(view, undefined), vocabSize);
      const asked: Feeds = {
        top_k: integers([k], [1]),
        full_rows: integers([2], [1]),
        want_logsumexp: { type: "bool", data: Uint8Array.of(1), dims: [1] },
      };
      const outputs = ["top.ids", "top.values", "logsumexp", "logits"];
      const chosen = await runView(view, { ...feeds, ...asked }, outputs);
      for (let row = 0; row < 3; row += 1) {
        const scores = Array.from(rowOf(logits!, row).data as Float32Array);
        const order = scores.map((_, id) => id).sort((a, b) => scores[b]! - scores[a]! || a - b);
        const own = Array.from(chosen["top.ids"]!.data.slice(row * k, (row + 1) * k), Number);
        const values = Array.from(chosen["top.values"]!.data.slice(row * k, (row + 1) * k), Number);
        assert.equal(own[0], order[0]);
        for (const [i, id] of own.entries()) assert.ok(Math.abs(scores[id]! - scores[order[i]!]!) < 1e-4);
        for (const [i, id] of own.entries()) assert.ok(Math.abs(values[i]! - scores[id]!) < 1e-4);
        const largest = Math.max(...scores);
        const sum = largest + Math.log(scores.reduce((all, score) => all + Math.exp(score - largest), 0));
        assert.ok(Math.abs(Number(chosen["logsumexp"]!.data[row]) - sum) < 1e-4);
      }
      assert.ok(apart(rowOf(logits!, 2), chosen["logits"]) < near);
    }
  });

  test(`${name}: constant shapes and a dropped zero bias change no logit`, async () => {
    const feeds: Feeds = { ...laterFeeds(one, [1, 2], past) };
    const bias = await stockBias(one, laterFeeds(one, [1], past), past);
    const { view } = twoPart(one);
    view.prune();
    const before = view.nodes.length;
    constantShapes(view);
    dropZeroBias(view);
    assert.ok(view.nodes.length < before);
    const expected = await stockLater(files, feeds, ["logits"]);
    const actual = await runView(view, { ...feeds, [selfBias]: bias }, ["logits"]);
    assert.ok(apart(expected["logits"], actual["logits"]) < near);
  });

  test(`${name}: int8 stays near the stock numbers, and a row's bits do not depend on its company`, async () => {
    const limit = { weightLimit: await weightLimit({ threads: 1, device: "cpu" }) };
    const view = decoder.withPast();
    assert.ok(int8Products(view, { layout: "rows", ...limit }).count > 8 * shape.layers - 1);
    const together = await runView(view, laterFeeds(one, [1, 2, 3], 16), ["logits"]);
    const alone = await runView(view, laterFeeds(one, [2], 16), ["logits"]);
    assert.deepEqual(rowOf(together["logits"]!, 1).data, alone["logits"]!.data);
    const expected = await stockLater(files, laterFeeds(one, [2], 16), ["logits"]);
    assert.ok(apart(expected["logits"], alone["logits"]) < 0.2);
    const encoder = new GraphView(readModel(files.encoder));
    int8Products(encoder, { layout: "tokens", ...limit });
    const source = { input_ids: integers([5, 9, 12, 7], [1, 4]), attention_mask: attentionMask([4], 4) };
    const states = await runner(files)("stock.encoder", source, ["last_hidden_state"]);
    const own = await runView(encoder, source, ["last_hidden_state"]);
    assert.ok(apart(states["last_hidden_state"], own["last_hidden_state"]) < 0.2);
  });
}
