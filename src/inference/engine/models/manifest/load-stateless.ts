// Opens a decoder without a cache. Load probes prove what its graphs do not say: the order of targets and of outputs, the size and kind of its scores,
// whether its attention is over the source, and (batchability-probe.ts) who may share a run.
import type { SourcePlan, StatelessPlan } from "../../../protocol/plan.js";
import type { LoadedModel, Memory } from "../model.js";
import { OnnxSession, type SessionOptions, type Value } from "../onnx-session.js";
import { someSource } from "../padding.js";
import { attentionFault, requireScoresKind } from "../scores.js";
import { findBatchability, probePlan, whyAlone, type ProbedSide } from "./batchability-probe.js";
import { oneByOne, type EncodeBatching, type StepBatching } from "./batchability.js";
import { loadEncoder } from "./load-encoder.js";
import { declaredStatelessOrder, requireStatelessDecoder, sourceOf } from "./require-tensors.js";
import type { SourceEncoder } from "./source-encoder.js";
import { StatelessModel, type StatelessFacts, type StatelessParts, type StatelessRow } from "./stateless.js";
import { batchFirst, firstOrder, possibleOrders, type TimeFirst } from "./time-first.js";

const costNote =
  "a decoder without a cache: every step runs the whole target again, so cost grows with the square of its length (an export with a cache does not)";

/** Throws one line that names file, role, tensor, expected and found. */
export async function loadStateless(plan: StatelessPlan, options: SessionOptions): Promise<LoadedModel> {
  const encoder = plan.encoder === null ? null : await loadEncoder(plan.encoder, plan.source, options);
  const decoder = await OnnxSession.open(plan.decoder.file, options).catch(async (error: Error) => {
    await encoder?.session.close();
    throw error;
  });
  try {
    const { model, notes } = await probeModel(partsOf(plan, encoder, decoder));
    return { model, notes: [...notes, costNote] };
  } catch (error) {
    await Promise.all([encoder?.session.close(), decoder.close()]);
    throw error;
  }
}

function partsOf(plan: StatelessPlan, encoder: SourceEncoder | null, decoder: OnnxSession): StatelessParts {
  const targets = requireStatelessDecoder(decoder, plan);
  const isTimeFirst = declaredStatelessOrder(decoder, plan) === true;
  return { plan, encoder, decoder, targets, source: encoder?.source ?? sourceOf(plan, decoder, isTimeFirst) };
}

async function probeModel(parts: StatelessParts): Promise<LoadedModel> {
  const { facts, fault } = await probeRow(parts, await findOrder(parts));
  const { encoder, decoder, source, targets, plan } = parts;
  const candidates: StepBatching[] = facts.isLastOnly
    ? ["equalAges", "equalBoth"]
    : ["any", "equalAges", "equalSources", "equalBoth"];
  const isMasked = plan.decoder.inputs.mask !== null;
  const alone = whyAlone(decoder, targets, facts.timeFirst.ids ? 1 : 0);
  const step = { candidates, isMasked, whyAlone: alone, vocabSize: facts.vocabSize };
  const files = [encoder?.session.file, decoder.file].filter(Boolean).join(", ");
  const { batchability, notes } = await findBatchability(
    (tried) => new StatelessModel(parts, { ...facts, batchability: tried }),
    probePlan(files, source, encoder?.probed ?? withoutEncoder(source), step),
  );
  const model = new StatelessModel(parts, { ...facts, batchability });
  return { model, notes: fault === null ? notes : [...notes, fault] };
}

/** One single graph: its sources wait for the first step. */
function withoutEncoder({ vocabSize }: SourcePlan): ProbedSide<EncodeBatching> {
  return { candidates: null, isMasked: false, whyAlone: null, vocabSize: vocabSize ?? 2 };
}

type Order = Pick<StatelessFacts, "timeFirst" | "outputsTimeFirst">;

function factsBefore({ plan }: StatelessParts, order: Order): StatelessFacts {
  const hasAttention = plan.decoder.outputs.attention !== null;
  return { vocabSize: 0, hasAttention, isLastOnly: false, batchability: oneByOne, ...order };
}

const rowsFirst = { scores: false, attention: false };

/** Load probe: two rows of four tokens over sources of three prove the order of the axes. In the wrong one their sizes contradict each other. */
async function findOrder(parts: StatelessParts): Promise<Order> {
  const { plan, decoder, source, targets } = parts;
  const declared = plan.decoder.timeFirst ?? declaredStatelessOrder(decoder, plan);
  const orders = possibleOrders(declared, targets, decoder.input(plan.decoder.inputs.mask ?? ""));
  const modelIn = (timeFirst: TimeFirst) =>
    new StatelessModel(parts, factsBefore(parts, { timeFirst, outputsTimeFirst: rowsFirst }));
  const sources = await modelIn(batchFirst).encode([someSource(source), someSource(source)]);
  let outputsTimeFirst: StatelessFacts["outputsTimeFirst"] = rowsFirst;
  const found = await firstOrder(orders, async (order) => {
    const model = modelIn(order);
    const run = await model.runTogether(sources.map((memory) => rowOf(model, memory, [0, 0, 0, 0])));
    outputsTimeFirst = {
      scores: isTimeFirst(run.scores),
      attention: run.attention !== null && isTimeFirst(run.attention),
    };
    return outputsTimeFirst.scores || run.scores.dims[0] === 2;
  });
  return { timeFirst: found ?? orders[0] ?? batchFirst, outputsTimeFirst };
}

/** Of an output of two rows. */
function isTimeFirst({ dims }: Value): boolean {
  return dims.length === 3 && dims[0] !== 2 && dims[1] === 2;
}

/** Load probe: one row once proves that the decoder runs, and shows what its scores cover and why its attention is of no use (null: it is). */
async function probeRow(parts: StatelessParts, order: Order): Promise<{ facts: StatelessFacts; fault: string | null }> {
  const { plan, decoder, source } = parts;
  const { outputs } = plan.decoder;
  const before = factsBefore(parts, order);
  const model = new StatelessModel(parts, before);
  const ids = someSource(source);
  const [memory] = await model.encode([ids]);
  const run = await model.runTogether([rowOf(model, memory as Memory, [0, 0])]).catch((error: Error) => {
    throw new Error(`${decoder.file}: decoder: a probe run of one row failed: ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  });
  const { dims } = run.scores;
  const isLastOnly = dims.length === 2 || dims[1] === 1;
  requireScoresKind(decoder, outputs, run, isLastOnly ? undefined : 1);
  const fault = attentionFault(decoder, outputs, run, source.padTo ?? ids.length);
  const hasAttention = before.hasAttention && fault === null;
  return { facts: { ...before, isLastOnly, hasAttention, vocabSize: dims.at(-1) ?? 0 }, fault };
}

function rowOf(model: StatelessModel, memory: Memory, ids: readonly number[]): StatelessRow {
  return { ...model.open(memory), ids };
}
