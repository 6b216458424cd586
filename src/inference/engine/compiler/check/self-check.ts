// Load probe: proves that the rewritten graphs say what the stock files say, and that a row's numbers do not depend on who shares its run.
// Pure orchestration: sessions belong to the caller, who passes `run`.
import type { Description } from "../description.js";
import { attentionOutput } from "../rewrite/attention-output.js";
import { encodeRow, floats, itemAt, newCaches, stepLogits, stepOutputs, type Run } from "./check-rows.js";
import { findSourceWidths, sourceWidth, type SourceWidths } from "./source-widths.js";
import { appendStep, stepFeeds, type CachedRow, type Widths } from "./step-feeds.js";
import { stockTraces, type StockOptions, type Trace } from "./stock-trace.js";

export interface CheckOptions extends StockOptions {
  /** Relative difference that counts as equal: 1e-4 for graphs of the same arithmetic, more for int8. */
  readonly tolerance?: number;
  /** False for int8: near-ties may then fall otherwise. */
  readonly sameArgmax?: boolean;
}

export interface CheckResult {
  readonly ok: boolean;
  /** Largest difference of a logit, over the largest logit of its row. */
  readonly maxRelativeDifference: number;
  readonly argmaxDifferences: number;
  /** The row's logits were the same bits at 1, 2, 8 and 13 rows, with other neighbours and paddings. */
  readonly bitEqual: boolean;
  /** The step hands out attention that is weights over each row's own source. */
  readonly attention: boolean;
  /** Widths that encode takes: `first` + n · `step`. Exports of local attention (LongT5) are bound to blocks of their tracing. */
  readonly sourceWidths: SourceWidths;
  /** The offset that held; put it in place of the one read from the graph. undefined: no positions. */
  readonly positionOffset: number | undefined;
}

const checkedAges = [0, 1, 5];
const mixedAges = [1, 4, 7];
const batchSizes = [2, 8, 13];
/** Of the sum of attention weights: half precision adds up to 1 to three digits. */
const attentionTolerance = 5e-3;

type Check = CheckOptions & { readonly sourceWidths: SourceWidths };

/** How far logits lie apart, over many rows. */
interface Difference {
  largest: number;
  argmax: number;
}

export async function selfCheck(run: Run, options: CheckOptions): Promise<CheckResult> {
  const sourceWidths = await findSourceWidths(run, options.description);
  const traces = await stockTraces(run, options, sourceWidths);
  const attempts: CheckResult[] = [];
  for (const description of offsetCandidates(options.description)) {
    const result = await checkOffset(run, { ...options, description, sourceWidths }, traces);
    if (result.ok && (options.sameArgmax ?? true)) return result;
    attempts.push(result);
  }
  // In loose arithmetic a wrong offset may pass as well: the nearest one is it.
  return attempts.reduce((best, next) => (next.maxRelativeDifference < best.maxRelativeDifference ? next : best));
}

// The offset found in the graph first, then 0 to 3.
function offsetCandidates(description: Description): Description[] {
  const rule = description.positions;
  if (rule === undefined) return [description];
  const offsets = [...new Set([rule.offset, 0, 1, 2, 3])];
  return offsets.map((offset) => ({ ...description, positions: { ...rule, offset } }));
}

async function checkOffset(run: Run, options: Check, traces: readonly Trace[]): Promise<CheckResult> {
  const { description } = options;
  const difference = { largest: 0, argmax: 0 };
  const histories: CachedRow[][] = [];
  for (const trace of traces) {
    const history = await rowHistory(run, options, trace, difference);
    histories.push(history);
  }
  const mixed = mixedAges.map((age, index) => itemAt(itemAt(histories, index), age));
  const mixedIds = mixedAges.map((age, index) => itemAt(itemAt(traces, index).ids, age));
  const source = sourceWidth(options.sourceWidths, 9);
  const widths = { past: 16, source, filler: 3 };
  const logits = await stepLogits(run, description, mixed, mixedIds, widths);
  for (const [index, age] of mixedAges.entries()) {
    addDifference(itemAt(itemAt(traces, index).logits, age), itemAt(logits, index), difference);
  }
  const close = difference.largest <= (options.tolerance ?? 1e-4);
  const ok = close && (difference.argmax === 0 || options.sameArgmax === false);
  return {
    ok,
    maxRelativeDifference: difference.largest,
    argmaxDifferences: difference.argmax,
    // A wrong offset needs no such proof; in loose arithmetic every candidate may be the one.
    bitEqual: (ok || options.sameArgmax === false) && (await isBitEqual(run, description, mixed, mixedIds)),
    attention: await isAttentionSound(run, description, mixed, mixedIds, widths),
    sourceWidths: options.sourceWidths,
    positionOffset: description.positions?.offset,
  };
}

/** The row before each step, while it goes alone through the step graph over exactly its own columns. */
async function rowHistory(run: Run, options: Check, trace: Trace, difference: Difference): Promise<CachedRow[]> {
  const { description } = options;
  let row = await encodeRow(run, description, trace.source, sourceWidth(options.sourceWidths, trace.source.length));
  const history: CachedRow[] = [];
  for (const [age, id] of trace.ids.entries()) {
    history.push(row);
    const widths = { past: age, source: row.source };
    const result = await run("step", stepFeeds(description, [row], [id], widths), stepOutputs(description));
    if (checkedAges.includes(age)) addDifference(itemAt(trace.logits, age), floats(result, "logits"), difference);
    row = appendStep(description, row, newCaches(description, result), 0);
  }
  return history;
}

/** One row alone, then at other places of other batches with other widths and other contents of the padding. */
async function isBitEqual(
  run: Run,
  description: Description,
  rows: readonly CachedRow[],
  ids: readonly number[],
): Promise<boolean> {
  const [alone] = await stepLogits(run, description, rows.slice(0, 1), ids.slice(0, 1), { past: 16, source: 16 });
  for (const size of batchSizes) {
    const own = size - 1;
    const seats = Array.from({ length: size }, (_, seat) => (seat === own ? 0 : 1 + (seat % (rows.length - 1))));
    const together = seats.map((row) => itemAt(rows, row));
    const widths = { past: 16 * (1 + (size % 3)), source: 16 * (1 + (size % 2)), filler: size };
    const logits = await stepLogits(
      run,
      description,
      together,
      seats.map((row) => itemAt(ids, row)),
      widths,
    );
    if (!sameBits(alone, logits[own])) return false;
  }
  return true;
}

/** Each row's weights sum to 1 over its source, and nothing of the padding is looked at, whatever the widths and neighbours. */
async function isAttentionSound(
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
    return Math.abs(sum - 1) <= attentionTolerance && weights.subarray(source).every((weight) => weight === 0);
  });
}

function addDifference(expected: Float32Array, actual: Float32Array, difference: Difference): void {
  difference.largest = Math.max(difference.largest, relativeDifference(expected, actual));
  if (argmax(expected) !== argmax(actual)) difference.argmax += 1;
}

function relativeDifference(expected: Float32Array, actual: Float32Array): number {
  let [largest, scale] = [0, 1e-30];
  for (const [id, value] of expected.entries()) {
    const apart = Math.abs(value - (actual[id] ?? NaN));
    largest = Number.isNaN(apart) ? Infinity : Math.max(largest, apart);
    scale = Math.max(scale, Math.abs(value));
  }
  return largest / scale;
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (const [id, value] of values.entries()) if (value > (values[best] ?? NaN)) best = id;
  return best;
}

function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((value, index) => Object.is(value, b[index]));
}
