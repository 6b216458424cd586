// What a looped graph is given and what it hands out: feeds of several greedy steps, ids by row.
import { greedyInputs } from "../compiler/rewrite/greedy-steps.js";
import { chosenIds, firstOf, loopInputs, noId } from "../compiler/rewrite/loop.js";
import type { PositionRule } from "../compiler/rewrite/positions.js";
import type { SelfBias } from "../compiler/rewrite/relative-bias.js";
import { tensor, valueOf, type Feeds, type Value } from "./onnx-session.js";
import { product } from "./rows.js";

/** Rows of which none is done, each with the ids that end it. */
export function loopFeeds(ends: readonly (readonly number[])[], steps: number): Feeds {
  const width = Math.max(1, ...ends.map((ids) => ids.length));
  const table = new BigInt64Array(ends.length * width).fill(BigInt(noId));
  ends.forEach((ids, row) => table.set(ids.map(BigInt), row * width));
  return {
    [loopInputs.steps]: tensor("int64", BigInt64Array.of(BigInt(steps)), []),
    [loopInputs.alive]: tensor("bool", new Uint8Array(ends.length).fill(1), [ends.length]),
    [loopInputs.ends]: tensor("int64", table, [ends.length, width]),
  };
}

/** Feeds of what the first step consumes, by the loop's names. */
export function firstFeeds(feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, value]) => [firstOf(name), value]));
}

/** Of a transformer whose rows have these ages; its past is `width` wide. */
export function ageFeeds(ages: readonly number[], { steps, width, heads, bias, rule }: AgeParts): Feeds {
  const slots = ages.flatMap((age, row) => Array.from({ length: heads }, (_, head) => [row, head, age]).flat());
  return {
    [greedyInputs.biases]: biases(ages, steps, width, bias),
    [greedyInputs.slots]: tensor("int64", BigInt64Array.from(slots, BigInt), [ages.length, heads, 1, 3]),
    ...(rule !== undefined && {
      [greedyInputs.positions]: tensor(
        "int64",
        BigInt64Array.from(ages, (age) => BigInt(rule.offset + age)),
        [ages.length, 1],
      ),
    }),
  };
}

export interface AgeParts {
  readonly steps: number;
  readonly width: number;
  readonly heads: number;
  readonly bias: SelfBias;
  readonly rule: PositionRule | undefined;
}

function biases(ages: readonly number[], steps: number, width: number, bias: SelfBias): Feeds[string] {
  const dims = [ages.length, bias.heads, 1, width + 1];
  const size = product(dims);
  const data = new Float32Array(steps * size);
  for (let step = 0; step < steps; step += 1) {
    const later = ages.map((age) => age + step);
    bias.fill(later, width, data.subarray(step * size, (step + 1) * size));
  }
  return tensor("float32", data, [steps, ...dims]);
}

/** Steps made, and the ids of one row of that run. */
export function chosenOf(results: Readonly<Record<string, Value>>): { made: number; of: (row: number) => number[] } {
  const { data, dims } = valueOf(results, chosenIds);
  const [made = 0, rows = 1] = dims;
  return { made, of: (row) => Array.from({ length: made }, (_, step) => Number(data[step * rows + row])) };
}
