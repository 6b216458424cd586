// What POST /explain takes and how much it may cost. Pure.
//
//   cost = source tokens × target tokens decoder steps: each source token is taken away once, and the whole output scored without it
import { refuse } from "../../errors.js";
import type { Prepared } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import type { ExplainBody } from "./schemas.js";
import { checkedInputs, checkedParameters } from "../generate/rules.js";

export const explainLimits = { sourceTokens: 64, targetTokens: 128, cells: 4096 } as const;

/** All that mean something with a given output: nothing is chosen then. */
const allowedWithOutput = new Set<string>(["src_lang", "tgt_lang", "task", "truncate", "timeout_ms", "top_n_tokens"]);

/** Options about answers that /explain does not give. */
const refusedNames = ["return_full_text", "decoder_input_details", "on_disconnect"] as const;

/** Throws AppError "validation" naming the field. */
export function checkedExplain(body: ExplainBody): Parameters {
  checkedInputs(body.inputs, 1);
  const parameters = checkedParameters(body.parameters ?? undefined, { streams: false });
  for (const name of refusedNames) if (parameters[name] !== undefined) refuse(`parameters.${name}`, "not in /explain");
  if ((parameters.num_return_sequences ?? 1) > 1) refuse("parameters.num_return_sequences", "/explain explains one");
  const idle = Object.keys(parameters).find((name) => !allowedWithOutput.has(name));
  if (hasOutput(body) && idle !== undefined) refuse(`parameters.${idle}`, "means nothing when output is given");
  return { top_n_tokens: 5, ...parameters };
}

export function hasOutput({ output }: ExplainBody): boolean {
  return output !== undefined && output !== null;
}

/** The same request, generating no more than may be explained. Throws AppError "validation" for what is too long. */
export function limitTarget(prepared: Prepared, { max_new_tokens }: Parameters): Prepared {
  const { decoding, sourceIds } = prepared;
  const forced = decoding.prefix.length - 1;
  const room = targetRoom(sourceIds.length) - forced;
  if (room < 1) refuse("parameters.decoder_input_ids", tooLongReason(forced, sourceIds.length));
  if ((max_new_tokens ?? 0) > room) refuse("parameters.max_new_tokens", `at most ${room} with this input in /explain`);
  const maxLength = Math.min(decoding.maxLength, decoding.prefix.length + room);
  return { ...prepared, wantAttention: false, topN: 0, decoding: { ...decoding, maxLength } };
}

/** Throws AppError "validation" naming `output`. */
export function checkTarget(targetTokens: number, sourceTokens: number): void {
  if (targetTokens > targetRoom(sourceTokens)) refuse("output", tooLongReason(targetTokens, sourceTokens));
}

// At least one token behind the start, however long the source may be.
function targetRoom(sourceTokens: number): number {
  const { sourceTokens: most, targetTokens, cells } = explainLimits;
  if (sourceTokens > most) refuse("inputs", `${sourceTokens} tokens, at most ${most} can be explained`);
  return Math.min(targetTokens, Math.floor(cells / sourceTokens));
}

function tooLongReason(tokens: number, sourceTokens: number): string {
  return `${tokens} tokens, at most ${targetRoom(sourceTokens)} can be explained with this input (${sourceTokens} tokens)`;
}
