// Feeds of a stock decoder step with made-up caches, and how far results lie apart: for tests of one rewriting at a time.
import {
  openDecoder,
  type StockDecoder,
  type StockFiles,
} from "../../../../../src/inference/engine/compiler/compile.js";
import type { GraphView } from "../../../../../src/inference/onnx/graph.js";
import {
  attentionMask,
  integers,
  type Feeds,
  type PlainTensor,
} from "../../../../../src/inference/engine/compiler/check/step-feeds.js";
import { cacheShape } from "../../../../../src/inference/engine/compiler/rewrite/step-graph.js";
import type { CacheShape } from "../../../../../src/inference/engine/compiler/rewrite/two-part-attention.js";
import { seededRandom } from "../../../../support/random.js";
import { openModel, runSession, runner, stockCases, type StockCase } from "./sessions.js";

export interface DecoderCase extends StockCase {
  readonly decoder: StockDecoder;
  readonly shape: CacheShape;
  readonly vocabSize: number;
}

export function decoderCases(): DecoderCase[] {
  return stockCases().map((one) => {
    const decoder = openDecoder(one.files);
    const view = decoder.withPast();
    const type = view.outputs.get("logits")!.type!.value;
    const dims = type.case === "tensorType" ? type.value.shape!.dim : [];
    return { ...one, decoder, shape: cacheShape(view), vocabSize: Number(dims.at(-1)!.value.value) };
  });
}

/** Rows with caches of `past` columns over sources of 7 of 16 ids. Column values depend on row and column only, so a longer past begins as a shorter one. */
export function laterFeeds({ shape, vocabSize }: DecoderCase, rows: readonly number[], past: number): Feeds {
  const { layers, heads, headDim } = shape;
  const feeds: Feeds = {
    input_ids: integers(
      rows.map((row) => 5 + ((row * 7) % (vocabSize - 5))),
      [rows.length, 1],
    ),
    encoder_attention_mask: attentionMask(
      rows.map(() => 7),
      16,
    ),
  };
  for (let layer = 0; layer < layers; layer += 1) {
    for (const part of ["decoder.key", "decoder.value", "encoder.key", "encoder.value"]) {
      const width = part.startsWith("decoder") ? past : 16;
      const blocks = rows.flatMap((row) =>
        Array.from({ length: heads }, (_, head) => {
          const random = seededRandom(1 + row * 7919 + head * 131 + layer * 17 + part.length * 3 + part.charCodeAt(8));
          return Array.from({ length: width * headDim }, () => random() * 2 - 1);
        }),
      );
      const data = Float32Array.from(blocks.flat());
      feeds[`past_key_values.${layer}.${part}`] = floats(data, [rows.length, heads, width, headDim]);
    }
  }
  return feeds;
}

export function floats(data: Float32Array, dims: readonly number[]): PlainTensor {
  return { type: "float32", data, dims };
}

/** One later step of the stock files themselves. */
export async function stockLater(files: StockFiles, feeds: Feeds, outputs: readonly string[]): Promise<Feeds> {
  if (!("merged" in files)) return runner(files)("stock.withPast", feeds, outputs);
  const hidden = floats(new Float32Array(0), [1, 0, 0]);
  const cacheSwitch: PlainTensor = { type: "bool", data: Uint8Array.of(1), dims: [1] };
  // The other branch reads it; here any will do.
  const width = await hiddenWidth(files);
  const rows = feeds["input_ids"]!.dims[0]!;
  const states = { ...hidden, data: new Float32Array(rows * 16 * width), dims: [rows, 16, width] };
  return runner(files)(
    "stock.merged",
    { ...feeds, use_cache_branch: cacheSwitch, encoder_hidden_states: states },
    outputs,
  );
}

async function hiddenWidth(files: StockFiles): Promise<number> {
  const feeds = { input_ids: integers([5], [1, 1]), attention_mask: attentionMask([1], 1) };
  const { last_hidden_state } = await runner(files)("stock.encoder", feeds, ["last_hidden_state"]);
  return last_hidden_state!.dims.at(-1)!;
}

export async function runView(view: GraphView, feeds: Feeds, outputs: readonly string[]): Promise<Feeds> {
  const session = await openModel(view.toModel("test"));
  return runSession(session, feeds, outputs).finally(() => session.release());
}

/** Largest difference over the largest number. */
export function apart(expected: PlainTensor | undefined, actual: PlainTensor | undefined): number {
  const [a, b] = [expected!.data as Float32Array, actual!.data as Float32Array];
  if (a.length !== b.length) return Infinity;
  const scale = a.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0) / scale;
}

/** Row i of a tensor whose first axis is the batch. */
export function rowOf({ type, data, dims }: PlainTensor, row: number): PlainTensor {
  const size = data.length / dims[0]!;
  return { type, data: data.slice(row * size, (row + 1) * size) as Float32Array, dims: [1, ...dims.slice(1)] };
}
