// From a request to a Prepared: every default filled, text turned into ids, lengths and ids checked. Wrong input ends here, as a 422 that names the field.
import { AppError, refuse } from "../../errors.js";
import { defaultPriority, type GenerationRequest, type Prepared } from "../../generation.js";
import { withoutNulls, type Parameters } from "../../parameters.js";
import { refuseLanguage, requestLanguages, type RequestLanguages } from "../catalog/languages.js";
import { resolveDecoding } from "./resolve-decoding.js";
import type { ServedModel } from "../catalog/served-model.js";
import { modelForTask } from "../catalog/tasks.js";
import { UnknownSymbol, WrongLanguage, type SourceToken } from "../tokenizer/tokenizer.js";

const seedRange = 2 ** 53;

/** What only the shell can know. */
export interface PrepareContext {
  /** 128 random bits, hexadecimal. */
  readonly id: string;
  /** 0 ≤ n < 1, for a request without a seed. */
  readonly random: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly defaultTimeoutMs: number | null;
}

/** Throws AppError "validation". */
export async function prepare(
  request: GenerationRequest,
  served: ServedModel,
  context: PrepareContext,
): Promise<Prepared> {
  const asked = withoutNulls(request.parameters);
  const model = modelForTask(served, asked.task);
  const options: Parameters = { ...model.defaults, ...asked };
  const languages = requestLanguages(options, model);
  const source = await encodeSource(request.inputs, model, languages, options.truncate);
  const timeoutMs = options.timeout_ms ?? context.defaultTimeoutMs;
  return {
    id: context.id,
    model: model.name,
    sourceIds: source.map((token) => token.id),
    decoding: resolveDecoding(withLanguage(asked, languages), model, Math.floor(context.random * seedRange)),
    stop: [options.stop ?? []].flat(),
    ...resolveDetails(options, model),
    deadlineAt: timeoutMs === null ? null : context.now + timeoutMs,
    priority: checkedPriority(request),
    ...(request.readsWhole === true ? { readsWhole: true } : {}),
    ...(request.trace === undefined ? {} : { trace: request.trace }),
  };
}

/** Source tokens as the model gets them, its input prefix included. Throws AppError "validation" for a text that does not fit. */
export async function encodeSource(
  text: string,
  model: ServedModel,
  languages: RequestLanguages = {},
  truncate?: number,
): Promise<SourceToken[]> {
  const { prefix = "", ...inTokenizer } = languages;
  const tokens = await model.source.encode(prefix + model.inputPrefix + text, inTokenizer).catch(refuseText);
  if (tokens.length === 0) refuse("inputs", "no tokens are left of this text");
  const { maxInputTokens } = model.limits;
  const limit = Math.min(truncate ?? Infinity, maxInputTokens);
  if (tokens.length <= limit) return tokens;
  if (truncate !== undefined) return truncateTokens(tokens, limit);
  return refuse("inputs", `${tokens.length} tokens, at most ${maxInputTokens} fit this model`, [
    { field: "parameters.truncate", text: "cuts" },
    { field: "parameters.split", text: '"sentences" decodes it sentence by sentence' },
  ]);
}

function refuseText(error: unknown): never {
  if (error instanceof UnknownSymbol) refuse("inputs", error.message, [{ text: `at ${error.start}` }]);
  if (error instanceof WrongLanguage) refuseLanguage(error);
  throw error;
}

function checkedPriority({ priority = defaultPriority }: GenerationRequest): number {
  if (Number.isInteger(priority) && priority >= 1 && priority <= 10) return priority;
  return refuse("priority", "a whole number from 1 (first) to 10");
}

// An id that the request forces itself wins over the language's.
function withLanguage(asked: Parameters, { forcedBosTokenId }: RequestLanguages): Parameters {
  return forcedBosTokenId === undefined ? asked : { forced_bos_token_id: forcedBosTokenId, ...asked };
}

function resolveDetails(
  { details, logprobs, attention, top_n_tokens = 0, best_of = 1 }: Parameters,
  { hasAttention }: ServedModel,
) {
  const wantsAll = details === true || attention === true;
  return {
    wantLogprobs: wantsAll || logprobs === true || top_n_tokens > 0 || best_of > 1,
    topN: top_n_tokens,
    wantAttention: wantsAll && attention !== false && resolveAttention(hasAttention, attention === true),
  };
}

function resolveAttention(hasAttention: boolean | null, isNeeded: boolean): boolean {
  if (hasAttention === null) {
    const reason = "no worker has told yet whether this model hands out attention (details and attention need to know)";
    throw new AppError("unavailable", reason, { retryAfterSeconds: 1 });
  }
  if (hasAttention || !isNeeded) return hasAttention;
  return refuse("parameters.attention", "this model hands out no attention");
}

// As transformers truncates: text goes from the end, special tokens behind it stay.
function truncateTokens(tokens: readonly SourceToken[], limit: number): SourceToken[] {
  const tail = tokens.slice(tokens.findLastIndex((token) => !token.special) + 1);
  return [...tokens.slice(0, Math.max(limit - tail.length, 0)), ...tail].slice(0, limit);
}
