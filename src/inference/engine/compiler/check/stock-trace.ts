// What the stock files say of rows with random sources and ids, step by step: the reference of the self-check.
import { cacheNames, type Description } from "../description.js";
import type { Run } from "./check-rows.js";
import { sourceWidth, usualWidths, type SourceWidths } from "./source-widths.js";
import { attentionMask, integers, type Feeds, type PlainTensor } from "./step-feeds.js";

export type StockLayout = "merged" | "split";

export interface StockOptions {
  readonly description: Description;
  readonly stock: StockLayout;
  /** Largest id that may be fed, exclusive; the vocabulary of the source may differ from the target's. */
  readonly sourceVocab: number;
}

export interface Trace {
  readonly source: readonly number[];
  readonly ids: readonly number[];
  /** Stock logits at age 0, 1, … */
  readonly logits: readonly Float32Array[];
}

const steps = 8;

export async function stockTraces(run: Run, options: StockOptions, widths: SourceWidths): Promise<Trace[]> {
  const random = randomIds(options);
  const traces: Trace[] = [];
  for (const length of [5, 9, 3]) {
    const source = random(length, options.sourceVocab);
    const ids = random(steps, options.description.vocabSize);
    // Exactly its own width where the files allow it: then padding is part of what is checked.
    const width =
      widths.step === usualWidths.step && (await takesOddWidths(run, source)) ? length : sourceWidth(widths, length);
    traces.push({ source, ids, logits: await stockTrace(run, options, { ids: source, width }, ids) });
  }
  return traces;
}

async function takesOddWidths(run: Run, source: readonly number[]): Promise<boolean> {
  const feeds = {
    input_ids: integers(source, [1, source.length]),
    attention_mask: attentionMask([source.length], source.length),
  };
  return run("stock.encoder", feeds, ["last_hidden_state"]).then(
    () => true,
    () => false,
  );
}

// Ids that a family treats apart (pad) stay out; low ids are mostly special.
function randomIds(options: StockOptions): (count: number, vocab: number) => number[] {
  const pad = options.description.positions?.pad?.id;
  let state = 12345;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return (count, vocab) => {
    const low = Math.min(5, vocab - 1);
    const draw = (): number => low + Math.floor(next() * (vocab - low));
    return Array.from({ length: count }, draw).map((id) => (id === pad ? low : id));
  };
}

/** Logits after each of `ids`, the row alone, fed one by one. The source is padded to `width`. */
async function stockTrace(
  run: Run,
  options: Pick<StockOptions, "description" | "stock">,
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
    caches = { ...caches, ...toPast(outputs, options.description.layers, age === 0) };
  }
  return logits;
}

async function stockStep(
  run: Run,
  options: Pick<StockOptions, "description" | "stock">,
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
  return cacheNames(layers).flatMap((name) => sides.map((side) => cacheName("present", name, side)));
}

function cacheName(stem: string, name: string, side: string): string {
  const [layer, part] = name.split(".");
  return `${stem}.${layer}.${side}.${part}`;
}

function toPast(outputs: Feeds, layers: number, first: boolean): Feeds {
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
    caches[cacheName("past_key_values", name, "decoder")] = zeros([1, heads, 0, headDim]);
    caches[cacheName("past_key_values", name, "encoder")] = zeros([1, heads, source, headDim]);
  }
  return caches;
}

function zeros(dims: readonly number[]): PlainTensor {
  return { type: "float32", data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims };
}
