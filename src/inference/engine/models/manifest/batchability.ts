// Which sources and rows of a manifest model may share a run, and what padding they then need. batchability-probe.ts finds out how far that goes.
import { paddedWidth } from "../../../protocol/widths.js";

export type EncodeBatching = "any" | "equalLengths" | "alone";
/** alonePadded: one row a run, beside padding. It tells what a mask marks where rows cannot run together. */
export type StepBatching = "any" | "equalAges" | "equalSources" | "equalBoth" | "alonePadded" | "alone";

export interface Batchability {
  readonly encode: EncodeBatching;
  readonly step: StepBatching;
  /** What 1 means in masks: exports of PyTorch's key_padding_mask have it the other way round. */
  readonly maskMarks: "real" | "padding";
}

/** What every model can do. */
export const oneByOne: Batchability = { encode: "alone", step: "alone", maskMarks: "real" };

/** Indices of items that may run together. */
export function groupsBy<T>(items: readonly T[], keyOf: (item: T, index: number) => number | string): number[][] {
  const groups = new Map<number | string, number[]>();
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  });
  return [...groups.values()];
}

/** Sources with equal keys may share an encoder run. */
export function encodeKey(batching: EncodeBatching, length: number, index: number): number {
  if (batching === "any") return 0;
  return batching === "alone" ? index : length;
}

/** Rows with equal keys may share a step. */
export function stepKey(batching: StepBatching, age: number, width: number, index: number): number | string {
  switch (batching) {
    case "any":
      return 0;
    case "equalAges":
      return age;
    case "equalSources":
      return width;
    case "equalBoth":
      return `${age} ${width}`;
    default:
      return index;
  }
}

/** Masked padding to a few widths keeps kernels, and so bits, the same whoever shares the run. */
export function sharedWidth(batching: StepBatching, isMasked: boolean, widths: readonly number[]): number {
  const longest = Math.max(...widths);
  return isMasked && ["any", "equalAges", "alonePadded"].includes(batching) ? paddedWidth(longest) : longest;
}
