// Proof at load that the rewritten graphs say what the stock files say, and that a row's numbers do not depend on its company.
// Pure orchestration: sessions belong to the caller, who passes `run`.
import type { Description } from "./compile.js";
import {
  attentionMask,
  cacheNames,
  grown,
  integers,
  openedRow,
  stepFeeds,
  type CachedRow,
  type Feeds,
  type Widths,
} from "./step-feeds.js";
import { stockTrace, type StockLayout } from "./stock-trace.js";

export type ModelRole = "encode" | "step" | "stock.encoder" | "stock.merged" | "stock.withPast" | "stock.withoutPast";

/** Runs one model and hands back the named outputs. Feeds that the model has no input for are to be dropped. */
export type Run = (role: ModelRole, feeds: Feeds, outputs: readonly string[]) => Promise<Feeds>;

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
  /** Widths that encode takes: `first` + n · `step`. Exports of local attention (LongT5) are bound to blocks of their tracing. */
  readonly sourceWidths: SourceWidths;
  /** The offset that held; put it in place of the one read from the graph. undefined: no positions. */
  readonly positionOffset: number | undefined;
}

export interface SourceWidths {
  readonly first: number;
  readonly step: number;
}

/** Smallest width that takes that many source ids. */
export function sourceWidth({ first, step }: SourceWidths, length: number): number {
  return first + step * Math.max(0, Math.ceil((length - first) / step));
}

interface Trace {
  readonly source: readonly number[];
  readonly ids: readonly number[];
  /** Stock logits at age 0, 1, … */
  readonly logits: readonly Float32Array[];
}

const steps = 8;
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

const usualWidths: SourceWidths = { first: 16, step: 16 };

async function findSourceWidths(run: Run, description: Description): Promise<SourceWidths> {
  if ((await encodes(run, description, 16)) && (await encodes(run, description, 32))) return usualWidths;
  const working: number[] = [];
  for (let width = 16; width <= 1040 && working.length < 2; width += 16) {
    if (await encodes(run, description, width)) working.push(width);
  }
  const [first = usualWidths.first, second] = working;
  return { first, step: second === undefined ? usualWidths.step : second - first };
}

async function encodes(run: Run, description: Description, width: number): Promise<boolean> {
  try {
    await encodeRow(run, description, [5], width);
    return true;
  } catch {
    return false;
  }
}

async function stockTraces(run: Run, options: CheckOptions, widths: SourceWidths): Promise<Trace[]> {
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
  const logits = await stepLogits(run, description, mixed, mixedIds, { past: 16, source, filler: 3 });
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
    sourceWidths: options.sourceWidths,
    positionOffset: description.positions?.offset,
  };
}

type Check = CheckOptions & { readonly sourceWidths: SourceWidths };

interface Difference {
  largest: number;
  argmax: number;
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
    if (checkedAges.includes(age)) compare(at(trace.logits, age), floats(result, "logits"), difference);
    row = grown(description, row, freshOf(description, result), 0);
  }
  return history;
}

async function encodeRow(
  run: Run,
  description: Description,
  source: readonly number[],
  width: number,
): Promise<CachedRow> {
  const padded = Array.from({ length: width }, (_, index) => source[index] ?? 0);
  const feeds = { input_ids: integers(padded, [1, width]), attention_mask: attentionMask([source.length], width) };
  const names = cacheNames(description.layers).map((name) => `cross.${name}`);
  const outputs = await run("encode", feeds, names);
  return openedRow(
    description,
    names.map((name) => tensor(outputs, name)),
    0,
    source.length,
  );
}

function stepOutputs(description: Description): string[] {
  return ["logits", ...cacheNames(description.layers).map((name) => `new.${name}`)];
}

function freshOf(description: Description, result: Feeds): Float32Array[] {
  return cacheNames(description.layers).map((name) => floats(result, `new.${name}`));
}

async function stepLogits(
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

function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((value, index) => Object.is(value, b[index]));
}

function compare(expected: Float32Array, actual: Float32Array, difference: Difference): void {
  let [largest, scale, best, bestActual] = [0, 1e-30, 0, 0];
  for (let id = 0; id < expected.length; id++) {
    const value = expected[id] ?? NaN;
    const apart = Math.abs(value - (actual[id] ?? NaN));
    largest = Number.isNaN(apart) ? Infinity : Math.max(largest, apart);
    scale = Math.max(scale, Math.abs(value));
    if (value > (expected[best] ?? NaN)) best = id;
    if ((actual[id] ?? NaN) > (actual[bestActual] ?? NaN)) bestActual = id;
  }
  difference.largest = Math.max(difference.largest, largest / scale);
  if (best !== bestActual) difference.argmax += 1;
}

function tensor(outputs: Feeds, name: string): Feeds[string] {
  const found = outputs[name];
  if (found === undefined) throw new Error(`the run gave no output ${name}`);
  return found;
}

export function floats(outputs: Feeds, name: string): Float32Array {
  return tensor(outputs, name).data as Float32Array;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
