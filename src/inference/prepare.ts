// From a request to a Prepared: every default filled, text turned into ids, lengths and ids checked. Wrong input ends here, as a 422 that names the field.
import { AppError } from "../errors.js";
import type { GenerationRequest, Prepared } from "../generation.js";
import type { Parameters } from "../parameters.js";
import { resolveDecoding } from "./resolve-decoding.js";
import type { ServedModel } from "./served-model.js";
import type { SourceToken } from "./tokenizer/tokenizer.js";

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
  model: ServedModel,
  context: PrepareContext,
): Promise<Prepared> {
  const asked = present(request.parameters);
  const options: Parameters = { ...model.defaults, ...asked };
  const source = await encodeSource(request.inputs, model, options);
  const timeoutMs = options.timeout_ms ?? context.defaultTimeoutMs;
  return {
    id: context.id,
    model: model.name,
    sourceIds: source.map((token) => token.id),
    decoding: resolveDecoding(asked, model, Math.floor(context.random * seedRange)),
    stop: [options.stop ?? []].flat(),
    wantLogprobs:
      options.details === true ||
      options.logprobs === true ||
      (options.top_n_tokens ?? 0) > 0 ||
      (options.best_of ?? 1) > 1,
    topN: options.top_n_tokens ?? 0,
    wantAttention: options.details === true,
    deadlineAt: timeoutMs === null ? null : context.now + timeoutMs,
  };
}

/** Source tokens as the model gets them, its input prefix included. */
export async function encodeSource(text: string, model: ServedModel, options: Parameters): Promise<SourceToken[]> {
  const { src_lang: srcLang, tgt_lang: tgtLang, truncate } = options;
  const languages = { ...(srcLang != null && { srcLang }), ...(tgtLang != null && { tgtLang }) };
  const tokens = await model.source.encode((model.folder.manifest.inputPrefix ?? "") + text, languages);
  if (tokens.length === 0)
    throw new AppError("validation", "inputs: no tokens are left of this text", { field: "inputs" });
  const { maxInputTokens } = model.limits;
  const limit = Math.min(truncate ?? Infinity, maxInputTokens);
  if (tokens.length <= limit) return tokens;
  if (truncate != null) return truncated(tokens, limit);
  const message = `inputs: ${tokens.length} tokens, at most ${maxInputTokens} fit this model (parameters.truncate cuts)`;
  throw new AppError("validation", message, { field: "inputs" });
}

// As transformers truncates: text goes from the end, special tokens behind it stay.
function truncated(tokens: readonly SourceToken[], limit: number): SourceToken[] {
  const tail = tokens.slice(tokens.findLastIndex((token) => !token.special) + 1);
  return [...tokens.slice(0, Math.max(limit - tail.length, 0)), ...tail].slice(0, limit);
}

function present(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined),
  ) as Parameters;
}
