// What the stock files say of one row, step by step: the reference of the self-check.
import { attentionMask, integers, type Feeds, type PlainTensor } from "./step-feeds.js";
import type { Description } from "../description.js";
import { cacheNames } from "../description.js";
import type { Run } from "./check-rows.js";

export type StockLayout = "merged" | "split";

/** Logits after each of `ids`, the row alone, fed one by one. The source is padded to `width`. */
export async function stockTrace(
  run: Run,
  options: { readonly description: Description; readonly stock: StockLayout },
  source: { readonly ids: readonly number[]; readonly width: number },
  ids: readonly number[],
): Promise<Float32Array[]> {
  const mask = attentionMask([source.ids.length], source.width);
  const padded = Array.from({ length: source.width }, (_, index) => source.ids[index] ?? 0);
  const feeds = { input_ids: integers(padded, [1, source.width]), attention_mask: mask };
  const encoded = await run("stock.encoder", feeds, ["last_hidden_state"]);
  const fixed: Feeds = {
    encoder_attention_mask: mask,
    encoder_hidden_states: encoded["last_hidden_state"] as PlainTensor,
  };
  const logits: Float32Array[] = [];
  let caches: Feeds = emptyCaches(options.description, source.width);
  for (const [age, id] of ids.entries()) {
    const outputs = await stockStep(run, options, { ...fixed, ...caches, input_ids: integers([id], [1, 1]) }, age);
    logits.push(outputs["logits"]?.data as Float32Array);
    caches = { ...caches, ...renamed(outputs, options.description.layers, age === 0) };
  }
  return logits;
}

async function stockStep(
  run: Run,
  options: { readonly description: Description; readonly stock: StockLayout },
  feeds: Feeds,
  age: number,
): Promise<Feeds> {
  const first = age === 0;
  const names = presentNames(options.description.layers, first);
  const outputs = ["logits", ...names];
  if (options.stock === "split") return run(first ? "stock.withoutPast" : "stock.withPast", feeds, outputs);
  const cacheSwitch: PlainTensor = { type: "bool", data: Uint8Array.of(first ? 0 : 1), dims: [1] };
  return run("stock.merged", { ...feeds, use_cache_branch: cacheSwitch }, outputs);
}

// Encoder presents come once, from the first step; later they are empty or absent.
function presentNames(layers: number, first: boolean): string[] {
  const sides = first ? ["decoder", "encoder"] : ["decoder"];
  return cacheNames(layers).flatMap((name) => sides.map((side) => sided("present", name, side)));
}

function sided(stem: string, name: string, side: string): string {
  const [layer, part] = name.split(".");
  return `${stem}.${layer}.${side}.${part}`;
}

function renamed(outputs: Feeds, layers: number, first: boolean): Feeds {
  const caches: Feeds = {};
  for (const name of presentNames(layers, first)) {
    caches[name.replace("present", "past_key_values")] = outputs[name] as PlainTensor;
  }
  return caches;
}

function emptyCaches(description: Description, source: number): Feeds {
  const { layers, heads, headDim } = description;
  const caches: Feeds = {};
  for (const name of cacheNames(layers)) {
    caches[sided("past_key_values", name, "decoder")] = zeros([1, heads, 0, headDim]);
    caches[sided("past_key_values", name, "encoder")] = zeros([1, heads, source, headDim]);
  }
  return caches;
}

function zeros(dims: readonly number[]): PlainTensor {
  return { type: "float32", data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims };
}
