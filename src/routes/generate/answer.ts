// The wire shapes of a generation: the JSON answer and the stream's events, in TGI's words where it has them.
import type { EndEvent, FinishReason, Output, OutputToken, TokenEvent, TopToken } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import type { Answer, EndEventBody, TokenEventBody } from "./schemas.js";
import type { Generation } from "./prepare.js";
import { wantsDetails } from "./rules.js";

/** The piece of a decoder id, for details.prefill. */
export type Piece = (id: number) => string;

/** Where an event stands in a stream: its number and, with several inputs, whose it is. */
export interface EventPosition {
  readonly index: number;
  readonly input?: number;
}

/** The answer to one input. */
export function generationBody(generation: Generation, end: EndEvent, parameters: Parameters, piece: Piece): Answer {
  const outputs = rankOutputs(end.outputs, parameters);
  const details = wantsDetails(parameters) ? toDetails(generation, outputs, parameters, piece) : undefined;
  return {
    generated_text: fullText(generation, outputs[0], parameters),
    ...endFields(generation, end, outputs),
    ...(details === undefined ? {} : { details }),
  };
}

/** One token of a stream. */
export function tokenEvent(event: TokenEvent, parameters: Parameters, place: EventPosition): TokenEventBody {
  return {
    ...place,
    ...((parameters.num_return_sequences ?? 1) > 1 ? { output: event.index } : {}),
    token: tokenBody(event),
    generated_text: null,
    details: null,
    ...(event.top === undefined ? {} : { top_tokens: [...event.top] }),
    ...(event.attention === undefined ? {} : { attention: [...event.attention] }),
  };
}

/** The last event of a generation: its token is special and empty, so that TGI's clients take it for one more token. */
export function endEvent(
  generation: Generation,
  end: EndEvent,
  parameters: Parameters,
  place: EventPosition,
): EndEventBody {
  const { prepared } = generation;
  const outputs = rankOutputs(end.outputs, parameters);
  const [first] = outputs;
  const finishReason = finishReasonOf(first);
  const details = {
    finish_reason: finishReason,
    generated_tokens: first?.tokens.length ?? 0,
    seed: usedSeed(generation),
    input_length: end.usage.sourceTokens,
  };
  return {
    ...place,
    token: { id: first?.ids.at(-1) ?? prepared.decoding.padTokenId, text: "", logprob: null, special: true },
    generated_text: fullText(generation, first, parameters),
    details: wantsDetails(parameters) ? details : null,
    finish_reason: finishReason,
    ...endFields(generation, end, outputs),
  };
}

function endFields({ prepared }: Generation, { usage, timings }: EndEvent, outputs: readonly Output[]) {
  return {
    outputs: outputs.map(({ text, ids, score, finishReason }) => ({
      text,
      ids: [...ids],
      score,
      finish_reason: finishReason,
    })),
    model: prepared.model,
    id: prepared.id,
    usage: { source_tokens: usage.sourceTokens, generated_tokens: usage.generatedTokens },
    timings: {
      queue_ms: roundMs(timings.queueMs),
      encode_ms: roundMs(timings.encodeMs),
      decode_ms: roundMs(timings.decodeMs),
      total_ms: roundMs(timings.totalMs),
    },
  };
}

// best_of is TGI's: sample several, the best by mean log-probability comes first.
function rankOutputs(outputs: readonly Output[], { best_of = 1 }: Parameters): readonly Output[] {
  if (best_of === 1) return outputs;
  return [...outputs].sort((left, right) => (right.score ?? -Infinity) - (left.score ?? -Infinity));
}

function toDetails(generation: Generation, outputs: readonly Output[], parameters: Parameters, piece: Piece) {
  const [first, ...others] = outputs;
  const prefix = parameters.decoder_input_details === true ? generation.prepared.decoding.prefix : [];
  const prefill = prefix.map((id) => ({ id, text: piece(id), logprob: null }));
  const sequence = (output: Output | undefined) => toSequence(output, generation, prefill);
  return {
    ...sequence(first),
    ...(others.length === 0
      ? {}
      : { best_of_sequences: others.map((output) => ({ generated_text: output.text, ...sequence(output) })) }),
  };
}

function toSequence(
  output: Output | undefined,
  generation: Generation,
  prefill: { id: number; text: string; logprob: null }[],
) {
  const tokens = output?.tokens ?? [];
  const { topN } = generation.prepared;
  const hasAttention = tokens.some(({ attention }) => attention !== undefined);
  return {
    finish_reason: finishReasonOf(output),
    generated_tokens: tokens.length,
    seed: usedSeed(generation),
    prefill,
    tokens: tokens.map(listedToken),
    ...(topN > 0 ? { top_tokens: tokens.map(({ top }) => (top ?? []).map(listedAlternative)) } : {}),
    ...(hasAttention ? { attention: tokens.map(({ attention }) => [...(attention ?? [])]) } : {}),
  };
}

export function tokenBody({ id, text, logprob, sampledLogprob, special }: OutputToken) {
  const drawn: { sampled_logprob?: number } = sampledLogprob === undefined ? {} : { sampled_logprob: sampledLogprob };
  return { id, text, logprob: logprob ?? null, ...drawn, special };
}

// Members stand in the order of the document, which answers always had.
export function listedToken(token: OutputToken) {
  const { sampled_logprob, ...shown } = tokenBody(token);
  return sampled_logprob === undefined ? shown : { ...shown, sampled_logprob };
}

function listedAlternative({ id, text, logprob, special }: TopToken) {
  return { id, text, logprob, special };
}

function fullText({ text }: Generation, output: Output | undefined, { return_full_text }: Parameters): string {
  return `${return_full_text === true ? text : ""}${output?.text ?? ""}`;
}

function usedSeed({ prepared: { decoding } }: Generation): number | null {
  return decoding.doSample ? decoding.seed : null;
}

function finishReasonOf(output: Output | undefined): FinishReason {
  return output?.finishReason ?? "length";
}

/** Microseconds are enough. */
function roundMs(value: number): number {
  return Math.round(value * 1000) / 1000;
}
