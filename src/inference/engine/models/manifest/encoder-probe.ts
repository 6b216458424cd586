// What runs of an encoder show before it serves: which axes grow with rows and which with length, and whether rows are rows (or [S, B] was meant).
import { axesOf, type Axes } from "./axes.js";
import type { OnnxSession, Value } from "../onnx-session.js";
import type { EncoderPlan } from "../../../protocol/plan.js";
import { declaredTimeFirst } from "./time-first.js";

export interface ProbedRuns {
  readonly file: string;
  readonly outputs: readonly string[];
  /** Ids that may stand in sources. */
  readonly ids: readonly number[];
  readonly takesTwo: boolean;
  readonly padTo: number | null;
  run(sources: readonly (readonly number[])[]): Promise<Readonly<Record<string, Value>>>;
}

/** Axes by output name. Throws one line. */
export async function findAxes(probed: ProbedRuns): Promise<Map<string, Axes>> {
  const { file, outputs, takesTwo, padTo } = probed;
  const short = Math.min(3, padTo ?? 3);
  const one = await dimsOf(probed, 1, short);
  const twoRows = takesTwo ? await dimsOf(probed, 2, short) : null;
  const longer = padTo === null ? await dimsOf(probed, 1, 5) : null;
  return new Map(
    outputs.map((name) => {
      const dims = { one: one[name] ?? [], twoRows: twoRows?.[name] ?? null, longer: longer?.[name] ?? null };
      return [name, axesOf(`${file}: encoder output "${name}"`, dims)];
    }),
  );
}

/**
 * Throws when two sources don't run. False when what was given as rows behaves as positions: a state that grows with length but not with rows,
 * a memory whose rows see each other while their positions don't.
 */
export async function areRows(probed: ProbedRuns): Promise<boolean> {
  const { outputs, padTo } = probed;
  const width = Math.min(3, padTo ?? 3);
  const [one, two] = [await dimsOf(probed, 1, width), await dimsOf(probed, 2, width)];
  const longer = padTo === null ? await dimsOf(probed, 2, 5) : two;
  const grows = (name: string, other: Sizes, than: Sizes) => String(other[name]) !== String(than[name]);
  if (outputs.some((name) => grows(name, longer, two) && !grows(name, two, one))) return false;
  const sources = sourcesOf(probed, 2, width);
  const base = await probed.run(sources);
  const seen: Seen = { rows: false, positions: false };
  for (const at of [0, width - 1]) {
    const changed = await probed.run(sources.map((ids, row) => (row === 0 ? withOther(ids, at, probed) : ids)));
    for (const name of outputs) look(base[name], changed[name], { width, at }, seen);
  }
  return seen.positions || !seen.rows;
}

interface Token {
  readonly width: number;
  readonly at: number;
}

interface Seen {
  rows: boolean;
  positions: boolean;
}

type Sizes = Readonly<Record<string, readonly number[]>>;

/** Who else changes with one token of row 0, in a memory [2, width, …] or [width, 2, …]. */
function look(base: Value | undefined, changed: Value | undefined, { width, at }: Token, seen: Seen): void {
  if (base === undefined || changed === undefined) return;
  const [first = 0, second = 0] = base.dims;
  const isRowsFirst = first === 2 && second === width;
  if (!isRowsFirst && !(first === width && second === 2)) return;
  const size = base.data.length / (2 * width);
  const cells = Array.from({ length: 2 * width }, (_, cell) => [Math.floor(cell / second), cell % second] as const);
  cells.forEach((axes, cell) => {
    const [row, position] = isRowsFirst ? axes : [axes[1], axes[0]];
    if (areEqual(base, changed, cell * size, size)) return;
    seen.rows ||= row !== 0;
    seen.positions ||= row === 0 && position !== at;
  });
}

function areEqual(one: Value, other: Value, from: number, size: number): boolean {
  return one.data.slice(from, from + size).join() === other.data.slice(from, from + size).join();
}

function withOther(source: readonly number[], at: number, { ids }: ProbedRuns): number[] {
  return source.map((id, position) => (position === at ? (ids.find((other) => !source.includes(other)) ?? id) : id));
}

function sourcesOf({ ids }: ProbedRuns, rows: number, width: number): number[][] {
  return Array.from({ length: rows }, () => Array.from({ length: width }, (_, i) => ids[i % ids.length] ?? 0));
}

async function dimsOf(probed: ProbedRuns, rows: number, width: number): Promise<Sizes> {
  const results = await probed.run(sourcesOf(probed, rows, width)).catch((error: Error) => {
    const run = `${rows} source${rows === 1 ? "" : "s"} of ${width} tokens`;
    throw new Error(`${probed.file}: encoder: a probe run of ${run} failed: ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  });
  return Object.fromEntries(Object.entries(results).map(([name, { dims }]) => [name, dims]));
}

/** Lengths and states have a batch and no time; null when names don't tell. */
export function declaredOrder(session: OnnxSession, { inputs, outputs }: EncoderPlan): boolean | null {
  const kin = [session.input(inputs.lengths ?? ""), ...outputs.states.map((name) => session.output(name))];
  return declaredTimeFirst(session.input(inputs.ids ?? inputs.onehot ?? ""), kin, "batch");
}
