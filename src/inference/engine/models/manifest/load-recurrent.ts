// Opens a recurrent pair. Load probes prove what its graphs do not say: the order of tokens, the size and kind of its scores, whether its attention
// is over the source, and (batchability-probe.ts) who may share a run.
import type { RecurrentPlan } from "../../../protocol/plan.js";
import type { LoadedModel, Memory } from "../model.js";
import { OnnxSession, type SessionOptions } from "../onnx-session.js";
import { attentionFault, requireScoresKind } from "../scores.js";
import { findBatchability, probePlan, whyAlone } from "./batchability-probe.js";
import { oneByOne, type StepBatching } from "./batchability.js";
import { DecoderStates } from "./decoder-states.js";
import { loadEncoder } from "./load-encoder.js";
import { RecurrentModel, type RecurrentFacts, type RecurrentParts } from "./recurrent.js";
import { declaredRecurrentOrder, requireRecurrentDecoder } from "./require-tensors.js";
import type { SourceEncoder } from "./source-encoder.js";
import { batchFirst, firstOrder, possibleOrders, type TimeFirst } from "./time-first.js";

/** Throws one line that names file, role, tensor, expected and found. */
export async function loadRecurrent(plan: RecurrentPlan, options: SessionOptions): Promise<LoadedModel> {
  const encoder = await loadEncoder(plan.encoder, plan.source, options);
  const decoder = await OnnxSession.open(plan.decoder.file, options).catch(async (error: Error) => {
    await encoder.session.close();
    throw error;
  });
  try {
    return await probeModel(partsOf(plan, encoder, decoder));
  } catch (error) {
    await Promise.all([encoder.session.close(), decoder.close()]);
    throw error;
  }
}

function partsOf(plan: RecurrentPlan, encoder: SourceEncoder, decoder: OnnxSession): RecurrentParts {
  const tokens = requireRecurrentDecoder(decoder, plan);
  const batchName = tokens.dims[declaredRecurrentOrder(decoder, plan) === true ? 1 : 0];
  return { plan, encoder, decoder, tokens, states: new DecoderStates(decoder, plan.decoder, encoder, batchName) };
}

async function probeModel(parts: RecurrentParts): Promise<LoadedModel> {
  const { facts, fault } = await probeRow(parts, await findOrder(parts));
  const { encoder, decoder, tokens, plan } = parts;
  const { mask, memory } = plan.decoder.inputs;
  const isSafe = memory === null || mask !== null || encoder.source.padTo !== null;
  const candidates: StepBatching[] = isSafe ? ["any", "equalSources"] : ["equalSources"];
  const alone = whyAlone(decoder, tokens, facts.timeFirst.ids ? 1 : 0);
  const step = { candidates, isMasked: mask !== null, whyAlone: alone, vocabSize: facts.vocabSize };
  const files = `${encoder.session.file}, ${decoder.file}`;
  const { batchability, notes } = await findBatchability(
    (tried) => new RecurrentModel(parts, { ...facts, batchability: tried }),
    probePlan(files, encoder.source, encoder.probed, step),
  );
  const model = new RecurrentModel(parts, { ...facts, batchability });
  return { model, notes: fault === null ? notes : [...notes, fault] };
}

function factsBefore({ plan, decoder }: RecurrentParts, timeFirst: TimeFirst): RecurrentFacts {
  const { outputs } = plan.decoder;
  const declared = decoder.output(outputs.scores)?.dims.at(-1);
  const vocabSize = typeof declared === "number" ? declared : 0;
  return { vocabSize, hasAttention: outputs.attention !== null, timeFirst, batchability: oneByOne };
}

/** Load probe: one token of two rows proves the order of the axes. In the wrong one they don't run, or their states come out in other sizes. */
async function findOrder(parts: RecurrentParts): Promise<TimeFirst> {
  const { plan, encoder, decoder, tokens } = parts;
  const declared = plan.decoder.timeFirst ?? declaredRecurrentOrder(decoder, plan);
  const orders = possibleOrders(declared, tokens, decoder.input(plan.decoder.inputs.mask ?? ""));
  const modelIn = (order: TimeFirst) => new RecurrentModel(parts, factsBefore(parts, order));
  const sources = await modelIn(batchFirst).encode([encoder.someSource, encoder.someSource]);
  const found = await firstOrder(orders, async (order) => {
    const model = modelIn(order);
    await model.runTogether(sources.map((memory) => model.open(memory)));
    return true;
  });
  return found ?? orders[0] ?? batchFirst;
}

/** Load probe: one row once proves that the decoder runs, and shows its vocabulary's size and why its attention is of no use (null: it is). */
async function probeRow(
  parts: RecurrentParts,
  timeFirst: TimeFirst,
): Promise<{ facts: RecurrentFacts; fault: string | null }> {
  const { plan, encoder, decoder } = parts;
  const { outputs } = plan.decoder;
  const { someSource, source } = encoder;
  const before = factsBefore(parts, timeFirst);
  const model = new RecurrentModel(parts, before);
  const [memory] = await model.encode([someSource]);
  const row = model.open(memory as Memory);
  const run = await model.runTogether([row]).catch((error: Error) => {
    throw new Error(`${decoder.file}: decoder: a probe run of one row failed: ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  });
  requireScoresKind(decoder, outputs, run);
  const fault = attentionFault(decoder, outputs, run, source.padTo ?? someSource.length);
  const hasAttention = before.hasAttention && fault === null;
  return { facts: { ...before, hasAttention, vocabSize: run.scores.dims.at(-1) ?? 0 }, fault };
}
