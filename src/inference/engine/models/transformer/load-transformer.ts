// Loading a transformer folder: compile (or find in the cache), prove it against the stock files once, and serve it; else serve the stock files.
//
//   compileCached ─▶ opened ─▶ proof kept? ─▶ TransformerModel           not known, not proven? ─▶ StockTransformer, with the reason
//                                   no ─▶ selfCheck against the stock files; int8 also against fp32 on texts
import type { Refusal } from "../../../onnx/pattern.js";
import { quantisesPerTensor } from "../../../onnx/read-model.js";
import type { Agreement } from "../../../protocol/facts.js";
import type { Alignment, TransformerPlan, WantedAlignment } from "../../../protocol/plan.js";
import { compileCached, type CachedModels } from "../../compiler/cache.js";
import type { StockFiles } from "../../compiler/compile.js";
import { rowMemory } from "../../compiler/description.js";
import type { CacheShape } from "../../compiler/rewrite/two-part-attention.js";
import type { LoadedModel } from "../model.js";
import { OnnxSession, runtimeVersion, type SessionOptions } from "../onnx-session.js";
import { greedyAgreement } from "./int8-agreement.js";
import { checkTolerance, findOrMakeProof, keepProof, type CompiledSessions, type Proof } from "./proof.js";
import { StockTransformer } from "./stock-transformer.js";
import { TransformerModel } from "./transformer.js";
import { weightLimit } from "./weight-limit.js";

const checkedTokensPerText = 32;

/** Throws one line for the user when not even the stock files can be served. */
export async function loadTransformer(plan: TransformerPlan, options: SessionOptions): Promise<LoadedModel> {
  const rewritten = await loadRewritten(plan, options);
  if ("reason" in rewritten) return loadStock(plan, options, rewritten.reason);
  const { model, cached, proof } = rewritten;
  const int8 = plan.dtype === "int8" ? await measureAgreement(plan, options, rewritten) : null;
  const { bitEqual } = proof.check;
  const attention = model.hasAttention ? (cached.description.attention ?? null) : null;
  const proven = { batching: "any_age", fallbackReason: null, bitEqual, int8, attention } as const;
  const notes = [
    rewrittenNote(proof),
    ...(plan.dtype === "int8" ? [agreementNote(int8)] : []),
    ...attentionNotes(attention),
  ];
  return { model, notes, facts: { ...proven, rowMemory: rowMemory(cached.description) } };
}

interface Rewritten {
  readonly model: TransformerModel;
  readonly cached: CachedModels;
  readonly proof: Proof;
}

async function loadRewritten(plan: TransformerPlan, options: SessionOptions): Promise<Rewritten | { reason: string }> {
  const files = stockFiles(plan);
  if (quantisesPerTensor(files.encoder)) return { reason: "the files quantise activations per tensor" };
  const dtype = plan.dtype === "int8" ? "int8" : "fp32";
  const distance = plan.maxDistance === null ? {} : { maxDistance: plan.maxDistance };
  const attention = plan.attention === null ? {} : { attention: plan.attention };
  const limit = dtype === "int8" ? { weightLimit: await weightLimit(options) } : {};
  const compiled = compileCached({
    directory: plan.cacheDir,
    files,
    options: { dtype, ...distance, ...limit, ...attention },
    runtime: runtimeVersion,
  });
  if (!compiled.ok) return { reason: refusalNote(compiled) };
  requireAlignment(plan.attention, compiled.value.description);
  try {
    return await openRewritten(plan, files, compiled.value, options);
  } catch (error) {
    return { reason: `the rewritten graphs do not run: ${(error as Error).message}` };
  }
}

async function openRewritten(plan: TransformerPlan, files: StockFiles, cached: CachedModels, options: SessionOptions) {
  const own = {
    encode: await OnnxSession.open(cached.encode, options),
    step: await OnnxSession.open(cached.step, options),
  };
  const sourceVocab = plan.sourceVocabSize ?? cached.description.vocabSize;
  const stored = cached.description.isHalf ? "half" : "float32";
  const close = checkTolerance(plan.dtype === "int8" ? "int8" : stored, options.device);
  const proof = await findOrMakeProof(files, cached, own, options, { sourceVocab, ...close });
  if (proof.check.ok) return { model: createModel(plan, cached, own, proof), cached, proof };
  await Promise.all([own.encode.close(), own.step.close()]);
  return {
    reason: `the rewritten graphs differ from the stock files by ${percent(proof.check.maxRelativeDifference)}`,
  };
}

function createModel(
  plan: TransformerPlan,
  cached: CachedModels,
  own: CompiledSessions,
  proof: Proof,
): TransformerModel {
  const { positionOffset, sourceWidths, attention } = proof.check;
  const { positions } = cached.description;
  const offset = positionOffset ?? positions?.offset ?? 0;
  const description = { ...cached.description, positions: positions && { ...positions, offset } };
  return new TransformerModel({ ...own, description, sourceWidths, padId: plan.padId, hasAttention: attention });
}

/** Kept beside the graphs once measured; null where there is nothing to compare with. */
async function measureAgreement(plan: TransformerPlan, options: SessionOptions, { model, cached, proof }: Rewritten) {
  if (proof.agreement !== undefined) return proof.agreement;
  const { int8Check } = plan;
  if (int8Check === null) return null;
  const reference = await loadRewritten({ ...plan, dtype: "stored" }, options);
  if ("reason" in reference) return null;
  const agreement = await greedyAgreement(reference.model, model, { ...int8Check, maxTokens: checkedTokensPerText });
  await reference.model.close();
  keepProof(cached, options, { ...proof, agreement });
  return agreement;
}

async function loadStock(plan: TransformerPlan, options: SessionOptions, reason: string): Promise<LoadedModel> {
  const model = await StockTransformer.load(plan, options);
  const alone = "one row a run, as its quantisation scales whole tensors and rows would change each other";
  const notes = [`stock graphs, ${model.isAlone ? alone : "rows of equal age together"}: ${reason}`];
  const batching = model.isAlone ? "one_row" : "equal_age";
  const { rowMemory } = model;
  const unknown = { bitEqual: null, int8: null, attention: null };
  const facts = { batching, fallbackReason: reason, ...unknown, rowMemory } as const;
  return { model, notes, facts };
}

function refusalNote({ reason, node }: Refusal): string {
  return node === "" ? reason : `${reason} (at ${node})`;
}

function rewrittenNote({ check }: Proof): string {
  return `rewritten for rows of any age; ${check.bitEqual ? "the same bits" : "equal to 1e-5"} in any company`;
}

function agreementNote(agreement: Agreement | null): string {
  if (agreement === null) return "int8 of our own; not compared with fp32";
  const { tokens, same } = agreement;
  return `int8 of our own: the same token as fp32 in ${percent(same / tokens)} of ${tokens} greedy tokens of the built-in texts`;
}

function attentionNotes(attention: Alignment | null): string[] {
  return attention === null ? ["no attention is handed out: the decoder's cross-attention has another form"] : [];
}

/** Throws one line when the manifest names what the decoder has not. */
function requireAlignment(wanted: WantedAlignment | null, { layers, heads }: CacheShape): void {
  if (wanted === null) return;
  const isOutside = (at: number, count: number): string => `${at}: the decoder has 0 to ${count - 1}`;
  if (wanted.layer >= layers) throw new Error(`seqserve.json: attention.layer ${isOutside(wanted.layer, layers)}`);
  const head = wanted.heads?.find((one) => one >= heads);
  if (head !== undefined) throw new Error(`seqserve.json: attention.heads ${isOutside(head, heads)}`);
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(3)} %`;
}

function stockFiles(plan: TransformerPlan): StockFiles {
  const encoder = plan.encoderFile;
  if (plan.mergedFile !== null) return { encoder, merged: plan.mergedFile };
  if (plan.decoderFile === null || plan.decoderWithPastFile === null) throw new Error("a plan without decoder files");
  return { encoder, withPast: plan.decoderWithPastFile, withoutPast: plan.decoderFile };
}
