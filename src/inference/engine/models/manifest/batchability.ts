// Who may share a run. A probe at load runs sources by themselves and then together, from the freest company to the strictest, and the first
// that leaves every number as it was is what the model is served in: an answer never depends on who else is served.
//
//   alone (reference) ─▶ encode: any lengths? equal lengths? ─▶ step: any rows? equal ages? equal sources? ─▶ company, with the reasons
import type { Wanted } from "../../decoding/search.js";
import type { Memory, Row, Seq2SeqModel } from "../model.js";
import { paddedWidth } from "../../../protocol/widths.js";

export type EncodeBatching = "any" | "equalLengths" | "alone";
/** alonePadded: one row a run, beside padding. It tells what a mask marks where rows cannot run together. */
export type StepBatching = "any" | "equalAges" | "equalSources" | "equalBoth" | "alonePadded" | "alone";

export interface Batchability {
  readonly encode: EncodeBatching;
  readonly step: StepBatching;
}

/** A model that lets its company be set. */
export interface CompanyModel extends Seq2SeqModel {
  company: Batchability;
  /** What 1 means in masks: exports of PyTorch's key_padding_mask have it the other way round. */
  maskMarks: "real" | "padding";
}

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
  /** What is known before any probe, as "a.onnx does this": why some company is not even tried. */
  readonly known: readonly string[];
}

/** Kernels of other batch sizes may add in another order; anything above is a row that sees its neighbours. */
const tolerance = 2e-5;
const steps = 5;
const full: Wanted = { kind: "full" };

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

/** Rows with equal keys may share a step. */
export function stepKey(company: StepBatching, age: number, width: number, index: number): number | string {
  switch (company) {
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

/** Masked padding to a few widths keeps kernels, and so bits, the same in most company. */
export function sharedWidth(company: StepBatching, isMasked: boolean, widths: readonly number[]): number {
  const longest = Math.max(...widths);
  return isMasked && ["any", "equalAges", "alonePadded"].includes(company) ? paddedWidth(longest) : longest;
}

/** Sets the model's company; returns sentences for /info. Throws one line when the model cannot even run alone. */
export async function settleCompany(model: CompanyModel, plan: ProbePlan): Promise<string[]> {
  model.maskMarks = "real";
  const usual = await settled(model, plan).catch((error: Error) => error);
  if (!(usual instanceof Error) && (usual.isFreest || !plan.isMasked)) return usual.notes;
  if (plan.isMasked) {
    // A mask that is right leaves a padded row as it was; the wrong way round it cannot.
    model.maskMarks = "padding";
    const turned = await settled(model, plan).catch(() => null);
    if (turned?.isFreest === true) return [...turned.notes, "masks mark padding here, as the probe found"];
    model.maskMarks = "real";
  }
  if (usual instanceof Error) throw usual;
  model.company = usual.company;
  return usual.notes;
}

interface Settled {
  readonly company: Batchability;
  readonly isFreest: boolean;
  readonly notes: string[];
}

async function settled(model: CompanyModel, plan: ProbePlan): Promise<Settled> {
  model.company = { encode: "alone", step: "alone" };
  const sources = probeSources(plan);
  const reference = await trace(model, sources, plan).catch((error: Error) => {
    const largest = `largest source id ${Math.max(...sources.flat())}: is source.vocab longer than the encoder's?`;
    throw new Error(`${plan.files}: a probe run failed (${largest}): ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  });
  const finite = reference.flat().every((row) => row.every((score) => !Number.isNaN(score)));
  if (!finite) throw new Error(`${plan.files}: a probe run gave scores that are not numbers`);
  const reasons = [...plan.known];
  const holds = async (company: Batchability): Promise<boolean> => {
    model.company = company;
    const reason = await difference(model, sources, plan, reference);
    if (reason !== null && company.step !== "alonePadded") reasons.push(`not "${explained(company)}": ${reason}`);
    return reason === null;
  };
  const encode = (await firstThat(plan.encode ?? [], (kind) => holds({ encode: kind, step: "alone" }))) ?? "alone";
  const step = (await firstThat(plan.step, (kind) => holds({ encode, step: kind }))) ?? "alone";
  model.company = { encode, step };
  const note = plan.encode === null ? stepWords[step] : `${encodeWords[encode]}, ${stepWords[step]}`;
  const isFreest = (plan.encode?.[0] ?? encode) === encode && (plan.step[0] ?? step) === step;
  return { company: model.company, isFreest, notes: [note, ...reasons] };
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

function explained({ encode, step }: Batchability): string {
  return step === "alone" ? encodeWords[encode] : stepWords[step];
}

async function firstThat<T>(candidates: readonly T[], holds: (candidate: T) => Promise<boolean>): Promise<T | null> {
  for (const candidate of candidates) if (await holds(candidate)) return candidate;
  return null;
}

/** null when every score is as it was alone. */
async function difference(model: CompanyModel, sources: number[][], plan: ProbePlan, reference: Float32Array[][]) {
  try {
    const found = await trace(model, sources, plan);
    const worst = Math.max(...found.flatMap((rows, s) => rows.map((row, t) => moved(row, reference[s]?.[t]))));
    return worst <= tolerance ? null : `a row's scores move by ${(worst * 100).toPrecision(2)} % in a probe`;
  } catch (error) {
    return `a probe run failed (${(error as Error).message.split("\n")[0]})`;
  }
}

function moved(row: Float32Array, reference: Float32Array | undefined): number {
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

// Every company finds some that it may put together: equal lengths of equal and of unequal age, equal ages of unlike length, one single token.
function probeSources({ sourceIds, maxLength }: ProbePlan): number[][] {
  return [3, 5, 5, 5, 1, 11].map((length, s) =>
    Array.from({ length: Math.min(length, maxLength) }, (_, i) => {
      return s === 0 && i === 0 ? (sourceIds.at(-1) ?? 0) : mixed(sourceIds, s * 31 + i);
    }),
  );
}

/** Scores by source and step. Sources join at different steps, so ages differ. */
async function trace(model: CompanyModel, sources: number[][], { targetIds }: ProbePlan): Promise<Float32Array[][]> {
  const scores = sources.map((): Float32Array[] => []);
  const memories = await model.encode(sources);
  const rows = memories.map((memory: Memory): Row => model.open(memory));
  for (let turn = 0; turn < steps + sources.length - 1; turn += 1) {
    const live = rows.flatMap((row, s) => (turn >= Math.floor(s / 2) && row.age < steps ? [{ row, s }] : []));
    if (live.length === 0) break;
    for (const { row, s } of live) row.token = mixed(targetIds, s * 17 + row.age * 5 + 1);
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

function mixed(ids: readonly number[], n: number): number {
  return ids[(Math.imul(n + 1, 2_654_435_761) >>> 8) % ids.length] ?? 0;
}
