// How the self-check runs models, whose sessions belong to its caller: one row on its way through the compiled graphs, alone or among others.
import { cacheNames, type Description } from "../description.js";
import { attentionMask, cutRow, integers, stepFeeds, type CachedRow, type Feeds, type Widths } from "./step-feeds.js";

export type ModelRole = "encode" | "step" | "stock.encoder" | "stock.merged" | "stock.withPast" | "stock.withoutPast";

/** Runs one model and hands back the named outputs. Feeds that the model has no input for are to be dropped. */
export type Run = (role: ModelRole, feeds: Feeds, outputs: readonly string[]) => Promise<Feeds>;

export async function encodeRow(
  run: Run,
  description: Description,
  source: readonly number[],
  width: number,
): Promise<CachedRow> {
  const padded = Array.from({ length: width }, (_, index) => source[index] ?? 0);
  const feeds = { input_ids: integers(padded, [1, width]), attention_mask: attentionMask([source.length], width) };
  const names = cacheNames(description.layers).map((name) => `cross.${name}`);
  const outputs = await run("encode", feeds, names);
  return cutRow(
    description,
    names.map((name) => tensor(outputs, name)),
    0,
    source.length,
  );
}

export async function stepLogits(
  run: Run,
  description: Description,
  rows: readonly CachedRow[],
  ids: readonly number[],
  widths: Widths,
): Promise<Float32Array[]> {
  const all = floats(await run("step", stepFeeds(description, rows, ids, widths), ["logits"]), "logits");
  const { vocabSize } = description;
  return rows.map((_, index) => all.subarray(index * vocabSize, (index + 1) * vocabSize));
}

export function stepOutputs(description: Description): string[] {
  return ["logits", ...cacheNames(description.layers).map((name) => `new.${name}`)];
}

export function newCaches(description: Description, result: Feeds): Float32Array[] {
  return cacheNames(description.layers).map((name) => floats(result, `new.${name}`));
}

function tensor(outputs: Feeds, name: string): Feeds[string] {
  const found = outputs[name];
  if (found === undefined) throw new Error(`the run gave no output ${name}`);
  return found;
}

export function floats(outputs: Feeds, name: string): Float32Array {
  return tensor(outputs, name).data as Float32Array;
}

export function itemAt<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
