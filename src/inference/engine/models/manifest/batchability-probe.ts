// Load probe: proves who may share a run. It runs sources by themselves and then together, from the freest way of batching to the strictest, and
// the first that leaves every number as it was is how the model is served: an answer never depends on who else is served.
//
//   alone (reference) ─▶ encode: any lengths? equal lengths? ─▶ step: any rows? equal ages? equal sources? ─▶ batchability, with the reasons
import { basename } from "node:path";
import { quantisesPerTensor } from "../../../onnx/read-model.js";
import type { SourcePlan } from "../../../protocol/plan.js";
import type { Wanted } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel } from "../model.js";
import type { OnnxSession, TensorInfo } from "../onnx-session.js";
import { oneByOne, type Batchability, type EncodeBatching, type StepBatching } from "./batchability.js";

export interface ProbePlan {
  /** What a failing probe names. */
  readonly files: string;
  /** Freest first; "alone" is always left. null: there is no encoder. */
  readonly encode: readonly EncodeBatching[] | null;
  readonly step: readonly StepBatching[];
  /** Ids that sources may hold, none of them padding. */
  readonly sourceIds: readonly number[];
  readonly targetIds: readonly number[];
  /** Lengths of the probe's sources at most. */
  readonly maxLength: number;
  /** A mask of ours goes in somewhere. */
  readonly isMasked: boolean;
  /** What is known before any probe, as "a.onnx does this": why some batching is not even tried. */
  readonly known: readonly string[];
}

/** One side of a model, as far as it matters who may share its runs. */
export interface ProbedSide<Batching> {
  /** Freest first; null: there is no such graph. */
  readonly candidates: readonly Batching[] | null;
  readonly isMasked: boolean;
  /** Why it runs one by one; null when it need not. */
  readonly whyAlone: string | null;
  readonly vocabSize: number;
}

/** @param files what a failing probe names. */
export function probePlan(
  files: string,
  source: SourcePlan,
  encode: ProbedSide<EncodeBatching>,
  step: ProbedSide<StepBatching>,
): ProbePlan {
  const stepAlone: readonly StepBatching[] = step.isMasked ? ["alonePadded"] : [];
  return {
    files,
    encode: encode.whyAlone === null ? encode.candidates : [],
    step: step.whyAlone === null ? (step.candidates ?? []) : stepAlone,
    isMasked: encode.isMasked || step.isMasked,
    known: [encode.whyAlone, step.whyAlone].filter((reason) => reason !== null),
    sourceIds: idsBelow(encode.vocabSize).filter((id) => id !== source.padId),
    // 0 is padding more often than not.
    targetIds: idsBelow(step.vocabSize).filter((id) => id !== 0),
    maxLength: source.padTo ?? Infinity,
  };
}

/** Why a graph's rows run one by one, by what it declares; null when nothing says so. */
export function whyAlone({ file }: OnnxSession, { name, dims }: TensorInfo, batchAxis: 0 | 1): string | null {
  const size = dims[batchAxis];
  if (typeof size === "number") return `${basename(file)}: "${name}" has a fixed batch of ${size}: one row a run`;
  if (!quantisesPerTensor(file)) return null;
  return `${basename(file)} scales whole tensors when it quantises, so rows would change each other: one row a run`;
}

// The largest is among them: a graph that knows fewer symbols than the vocabulary has is found at load.
function idsBelow(size: number): number[] {
  const first = Array.from({ length: Math.max(Math.min(size, 1000), 2) }, (_, id) => id);
  return size > first.length ? [...first, size - 1] : first;
}

type ModelWith = (batchability: Batchability) => Seq2SeqModel;

interface Found {
  readonly batchability: Batchability;
  /** Sentences for /info. */
  readonly notes: readonly string[];
}

/** Throws one line when the model cannot even run alone. @param modelWith the same model, made to batch so */
export async function findBatchability(modelWith: ModelWith, plan: ProbePlan): Promise<Found> {
  const usual = await findWithMarks(modelWith, plan, "real").catch((error: Error) => error);
  if (!(usual instanceof Error) && (usual.isFreest || !plan.isMasked)) return usual;
  if (plan.isMasked) {
    // A mask that is right leaves a padded row as it was; the wrong way round it cannot.
    const inverted = await findWithMarks(modelWith, plan, "padding").catch(() => null);
    if (inverted?.isFreest === true)
      return { ...inverted, notes: [...inverted.notes, "masks mark padding here, as the probe found"] };
  }
  if (usual instanceof Error) throw usual;
  return usual;
}

async function findWithMarks(
  modelWith: ModelWith,
  plan: ProbePlan,
  maskMarks: Batchability["maskMarks"],
): Promise<Found & { readonly isFreest: boolean }> {
  const sources = probeSources(plan);
  const reference = await referenceTrace(modelWith({ ...oneByOne, maskMarks }), sources, plan);
  const reasons = [...plan.known];
  const holds = async (tried: Batchability): Promise<boolean> => {
    const reason = await difference(modelWith(tried), sources, plan, reference);
    if (reason !== null && tried.step !== "alonePadded") reasons.push(`not "${describe(tried)}": ${reason}`);
    return reason === null;
  };
  const encode =
    (await firstThat(plan.encode ?? [], (kind) => holds({ encode: kind, step: "alone", maskMarks }))) ?? "alone";
  const step = (await firstThat(plan.step, (kind) => holds({ encode, step: kind, maskMarks }))) ?? "alone";
  const note = plan.encode === null ? stepWords[step] : `${encodeWords[encode]}, ${stepWords[step]}`;
  const isFreest = (plan.encode?.[0] ?? encode) === encode && (plan.step[0] ?? step) === step;
  return { batchability: { encode, step, maskMarks }, isFreest, notes: [note, ...reasons] };
}

async function referenceTrace(model: Seq2SeqModel, sources: number[][], plan: ProbePlan): Promise<Float32Array[][]> {
  const reference = await trace(model, sources, plan).catch((error: Error) => {
    const largest = `largest source id ${Math.max(...sources.flat())}: is source.vocab longer than the encoder's?`;
    throw new Error(`${plan.files}: a probe run failed (${largest}): ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  });
  const isUsable = reference.flat().every((row) => row.every((score) => !Number.isNaN(score)));
  if (!isUsable) throw new Error(`${plan.files}: a probe run gave scores that are not numbers`);
  return reference;
}

const encodeWords: Readonly<Record<EncodeBatching, string>> = {
  any: "sources of any length are encoded together",
  equalLengths: "sources of equal length are encoded together",
  alone: "sources are encoded one by one",
};
const stepWords: Readonly<Record<StepBatching, string>> = {
  any: "rows of any age share a run",
  equalAges: "rows of equal age share a run",
  equalSources: "rows of equally long sources share a run",
  equalBoth: "rows of equal age and equally long sources share a run",
  alonePadded: "one row a run",
  alone: "one row a run",
};

function describe({ encode, step }: Batchability): string {
  return step === "alone" ? encodeWords[encode] : stepWords[step];
}

async function firstThat<T>(candidates: readonly T[], holds: (candidate: T) => Promise<boolean>): Promise<T | null> {
  for (const candidate of candidates) if (await holds(candidate)) return candidate;
  return null;
}

/** Kernels of other batch sizes may add in another order; anything above is a row that sees its neighbours. */
const tolerance = 2e-5;

/** null when every score is as it was alone. */
async function difference(model: Seq2SeqModel, sources: number[][], plan: ProbePlan, reference: Float32Array[][]) {
  try {
    const found = await trace(model, sources, plan);
    const worst = Math.max(
      ...found.flatMap((rows, s) => rows.map((row, t) => relativeDifference(row, reference[s]?.[t]))),
    );
    return worst <= tolerance ? null : `a row's scores move by ${(worst * 100).toPrecision(2)} % in a probe`;
  } catch (error) {
    return `a probe run failed (${(error as Error).message.split("\n")[0]})`;
  }
}

function relativeDifference(row: Float32Array, reference: Float32Array | undefined): number {
  let most = 0;
  let largest = 1;
  row.forEach((score, id) => {
    const expected = reference?.[id] ?? Number.NaN;
    largest = Math.max(largest, Math.abs(expected));
    const gap = score === expected ? 0 : Math.abs(score - expected);
    most = Math.max(most, Number.isNaN(gap) ? Infinity : gap);
  });
  return most / largest;
}

// Every way of batching finds some that it may put together: equal lengths of equal and of unequal age, equal ages of unlike length, one single token.
function probeSources({ sourceIds, maxLength }: ProbePlan): number[][] {
  return [3, 5, 5, 5, 1, 11].map((length, s) =>
    Array.from({ length: Math.min(length, maxLength) }, (_, i) => {
      return s === 0 && i === 0 ? (sourceIds.at(-1) ?? 0) : pickId(sourceIds, s * 31 + i);
    }),
  );
}

const steps = 5;
const full: Wanted = { kind: "full" };

/** Scores by source and step. Sources join at different steps, so ages differ. */
async function trace(model: Seq2SeqModel, sources: number[][], { targetIds }: ProbePlan): Promise<Float32Array[][]> {
  const scores = sources.map((): Float32Array[] => []);
  const memories = await model.encode(sources);
  const rows = memories.map((memory: Memory): Row => model.open(memory));
  for (let step = 0; step < steps + sources.length - 1; step += 1) {
    const live = rows.flatMap((row, s) => (step >= Math.floor(s / 2) && row.age < steps ? [{ row, s }] : []));
    if (live.length === 0) break;
    for (const { row, s } of live) row.token = pickId(targetIds, s * 17 + row.age * 5 + 1);
    const result = await model.step(
      live.map(({ row }) => row),
      live.map(() => full),
    );
    live.forEach(({ s }, index) => {
      const own = result.row(index);
      if (own.kind === "full") scores[s]?.push(own.logits.slice());
    });
  }
  model.release(rows);
  return scores;
}

function pickId(ids: readonly number[], n: number): number {
  return ids[(Math.imul(n + 1, 2_654_435_761) >>> 8) % ids.length] ?? 0;
}
