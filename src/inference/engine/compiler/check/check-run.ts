// How the self-check runs models whose sessions belong to its caller, and takes results apart.
import type { Feeds } from "./step-feeds.js";

export type ModelRole = "encode" | "step" | "stock.encoder" | "stock.merged" | "stock.withPast" | "stock.withoutPast";

/** Runs one model and hands back the named outputs. Feeds that the model has no input for are to be dropped. */
export type Run = (role: ModelRole, feeds: Feeds, outputs: readonly string[]) => Promise<Feeds>;

export function tensor(outputs: Feeds, name: string): Feeds[string] {
  const found = outputs[name];
  if (found === undefined) throw new Error(`the run gave no output ${name}`);
  return found;
}

export function floats(outputs: Feeds, name: string): Float32Array {
  return tensor(outputs, name).data as Float32Array;
}

export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
