// Opens the encoder of a manifest model. Load probes prove what its graph does not say: whether rows are rows (or [S, B] was meant),
// which axes grow with rows and which with length.
import type { EncoderPlan, SourcePlan } from "../../../protocol/plan.js";
import { OnnxSession, type SessionOptions, type Value } from "../onnx-session.js";
import { axesOf, type Axes } from "./axes.js";
import { EncoderGraph, fixedWidth } from "./encoder-graph.js";
import { requireDepth, requireEncoderKinds, requireOneOf, requireTensors } from "./require-tensors.js";
import { SourceEncoder } from "./source-encoder.js";
import { batchFirst, declaredTimeFirst, firstOrder, possibleOrders, type TimeFirst } from "./time-first.js";

/** Throws one line that names file, role, tensor, expected and found. */
export async function loadEncoder(
  plan: EncoderPlan,
  source: SourcePlan,
  options: SessionOptions,
): Promise<SourceEncoder> {
  const session = await OnnxSession.open(plan.file, options);
  try {
    requireOneOf(session, "encoder", plan.inputs.ids, plan.inputs.onehot);
    requireTensors(session, "encoder", plan);
    requireEncoderKinds(session, plan);
    const declared = plan.timeFirst ?? declaredOrder(session, plan);
    const likely = new EncoderGraph(session, plan, source, { ids: declared === true, mask: false });
    checkWidths(likely);
    const padTo = source.padTo ?? fixedWidth(likely.ids, likely.timeFirst.ids);
    const graphIn = (order: TimeFirst) => new EncoderGraph(session, plan, { ...source, padTo }, order);
    const graph = graphIn(await findOrder(likely, declared, graphIn));
    return new SourceEncoder(graph, await findAxes(probedRuns(graph)));
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Throws one line when the graph's own sizes contradict the manifest. */
function checkWidths({ session: { file }, ids, inputs, source, timeFirst, vocabSize }: EncoderGraph): void {
  const { padTo } = source;
  const width = fixedWidth(ids, timeFirst.ids) ?? padTo;
  if (width !== null && (padTo ?? width) !== width)
    throw new Error(`${file}: source.padTo: expected ${width} as the graph has it, found ${padTo}`);
  if (width !== padTo && inputs.mask === null && inputs.lengths === null)
    throw new Error(`${file}: encoder input "${ids.name}" takes ${width} tokens only: expected source.padTo ${width}`);
  if (inputs.onehot !== null) requireDepth(file, inputs.onehot, vocabSize, source.vocabSize ?? 0);
}

async function findOrder(
  likely: EncoderGraph,
  declared: boolean | null,
  graphIn: (order: TimeFirst) => EncoderGraph,
): Promise<TimeFirst> {
  const orders = possibleOrders(declared, likely.ids, likely.session.input(likely.inputs.mask ?? ""));
  const [likeliest = batchFirst] = orders;
  if (orders.length === 1 || !likely.takesTwo) return likeliest;
  return (await firstOrder(orders, (order) => areRows(probedRuns(graphIn(order))))) ?? likeliest;
}

function probedRuns(graph: EncoderGraph): ProbedRuns {
  const { padTo, padId } = graph.source;
  return {
    file: graph.session.file,
    outputs: graph.fetches,
    ids: Array.from({ length: Math.min(graph.vocabSize, 16) }, (_, id) => id).filter((id) => id !== padId),
    takesTwo: graph.takesTwo,
    padTo,
    run: async (sources) => (await graph.run(sources)).results,
  };
}

/** Lengths and states have a batch and no time; null when names don't tell. */
function declaredOrder(session: OnnxSession, { inputs, outputs }: EncoderPlan): boolean | null {
  const kin = [session.input(inputs.lengths ?? ""), ...outputs.states.map((name) => session.output(name))];
  return declaredTimeFirst(session.input(inputs.ids ?? inputs.onehot ?? ""), kin, "batch");
}

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
async function findAxes(probed: ProbedRuns): Promise<Map<string, Axes>> {
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
    const changed = await probed.run(sources.map((ids, row) => (row === 0 ? replaceToken(ids, at, probed) : ids)));
    for (const name of outputs) noteChanges(base[name], changed[name], { width, at }, seen);
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
function noteChanges(base: Value | undefined, changed: Value | undefined, { width, at }: Token, seen: Seen): void {
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

function replaceToken(source: readonly number[], at: number, { ids }: ProbedRuns): number[] {
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
