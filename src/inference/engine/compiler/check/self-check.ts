// Proof at load that the rewritten graphs say what the stock files say, and that a row's numbers do not depend on its company.
// Pure orchestration: sessions belong to the caller, who passes `run`.
import { encodeRow, freshOf, stepLogits, stepOutputs, at, floats, type Run } from "./check-rows.js";
import { findSourceWidths, sourceWidth, type SourceWidths, usualWidths } from "./source-widths.js";
import { grown, stepFeeds, type CachedRow, type Widths, attentionMask, integers } from "./step-feeds.js";
import type { StockLayout } from "./stock-trace.js";
import type { Description } from "../description.js";
import { attentionOutput } from "../rewrite/attention-output.js";
import { stockTrace } from "./stock-trace.js";

export interface CheckOptions {
  readonly description: Description;
  readonly stock: StockLayout;
  /** Largest id that may be fed, exclusive; the vocabulary of the source may differ from the target's. */
  readonly sourceVocab: number;
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

export async function selfCheck(run: Run, options: CheckOptions): Promise<CheckResult> {
  const sourceWidths = await findSourceWidths(run, options.description);
  const traces = await stockTraces(run, options, sourceWidths);
  const attempts: CheckResult[] = [];
  for (const description of candidates(options.description)) {
    const result = await checkOffset(run, { ...options, description, sourceWidths }, traces);
    if (result.ok && (options.sameArgmax ?? true)) return result;
    attempts.push(result);
  }
  // In loose arithmetic a wrong offset may pass as well: the nearest one is it.
  return attempts.reduce((best, next) => (next.maxRelativeDifference < best.maxRelativeDifference ? next : best));
}

// The offset found in the graph first, then 0 to 3.
function candidates(description: Description): Description[] {
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
  const mixed = mixedAges.map((age, index) => at(at(histories, index), age));
  const mixedIds = mixedAges.map((age, index) => at(at(traces, index).ids, age));
  const source = sourceWidth(options.sourceWidths, 9);
  const widths = { past: 16, source, filler: 3 };
  const logits = await stepLogits(run, description, mixed, mixedIds, widths);
  for (const [index, age] of mixedAges.entries()) {
    compare(at(at(traces, index).logits, age), at(logits, index), difference);
  }
  const close = difference.largest <= (options.tolerance ?? 1e-4);
  const ok = close && (difference.argmax === 0 || options.sameArgmax === false);
  return {
    ok,
    maxRelativeDifference: difference.largest,
    argmaxDifferences: difference.argmax,
    // A wrong offset needs no such proof; in loose arithmetic every candidate may be the one.
    bitEqual: (ok || options.sameArgmax === false) && (await bitsHold(run, description, mixed, mixedIds)),
    attention: await attentionHolds(run, description, mixed, mixedIds, widths),
    sourceWidths: options.sourceWidths,
    positionOffset: description.positions?.offset,
  };
}

type Check = CheckOptions & { readonly sourceWidths: SourceWidths };

/** The row before each step, while it goes alone through the step graph over exactly its own columns. */
async function rowHistory(run: Run, options: Check, trace: Trace, difference: Difference): Promise<CachedRow[]> {
  const { description } = options;
  let row = await encodeRow(run, description, trace.source, sourceWidth(options.sourceWidths, trace.source.length));
  const history: CachedRow[] = [];
  for (const [age, id] of trace.ids.entries()) {
    history.push(row);
    const widths = { past: age, source: row.source };
    const result = await run("step", stepFeeds(description, [row], [id], widths), stepOutputs(description));
    if (checkedAges.includes(age)) compare(at(trace.logits, age), floats(result, "logits"), difference);
    row = grown(description, row, freshOf(description, result), 0);
  }
  return history;
}

// One row alone, then at other places of other batches with other widths and other contents of the padding.
async function bitsHold(
  run: Run,
  description: Description,
  rows: readonly CachedRow[],
  ids: readonly number[],
): Promise<boolean> {
  const [alone] = await stepLogits(run, description, rows.slice(0, 1), ids.slice(0, 1), { past: 16, source: 16 });
  for (const size of batchSizes) {
    const own = size - 1;
    const seats = Array.from({ length: size }, (_, seat) => (seat === own ? 0 : 1 + (seat % (rows.length - 1))));
    const company = seats.map((row) => at(rows, row));
    const widths = { past: 16 * (1 + (size % 3)), source: 16 * (1 + (size % 2)), filler: size };
    const logits = await stepLogits(
      run,
      description,
      company,
      seats.map((row) => at(ids, row)),
      widths,
    );
    if (!sameBits(alone, logits[own])) return false;
  }
  return true;
}

// The self-check of attention: what a compiled step hands out must be weights over each row's own source, whatever the widths and neighbours.

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

// What the self-check feeds, and what the stock files answer: random sources and ids, and the stock logits after each.

const steps = 8;

export interface Trace {
  readonly source: readonly number[];
  readonly ids: readonly number[];
  /** Stock logits at age 0, 1, … */
  readonly logits: readonly Float32Array[];
}

export async function stockTraces(run: Run, options: CheckOptions, widths: SourceWidths): Promise<Trace[]> {
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
function randomIds(options: CheckOptions): (count: number, vocab: number) => number[] {
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

// How far two rows of logits lie apart, for the self-check.

/** Gathers over many rows. */
export interface Difference {
  largest: number;
  argmax: number;
}

export function compare(expected: Float32Array, actual: Float32Array, difference: Difference): void {
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

export function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((value, index) => Object.is(value, b[index]));
}
