// The self-check of attention: what a compiled step hands out must be weights over each row's own source, whatever the widths and neighbours.
import { attentionOutput } from "../rewrite/attention-output.js";
import { floats, type Run } from "./check-run.js";
import { stepFeeds, type CachedRow, type Widths } from "./step-feeds.js";
import type { Description } from "../description.js";

/** Half precision adds up to 1 to three digits. */
const tolerance = 5e-3;

/** True when each row's weights sum to 1 over its source and nothing of the padding is looked at. */
export async function attentionHolds(
  run: Run,
  description: Description,
  rows: readonly CachedRow[],
  ids: readonly number[],
  widths: Widths,
): Promise<boolean> {
  if (description.attention === undefined) return false;
  const outputs = await run("step", stepFeeds(description, rows, ids, widths), [attentionOutput]);
  const all = floats(outputs, attentionOutput);
  return rows.every(({ source }, index) => {
    const weights = all.subarray(index * widths.source, (index + 1) * widths.source);
    const sum = weights.subarray(0, source).reduce((total, weight) => total + weight, 0);
    return Math.abs(sum - 1) <= tolerance && weights.subarray(source).every((weight) => weight === 0);
  });
}
