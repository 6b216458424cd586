// The contract between all layers: what a client asks (GenerationRequest), what travels right (Prepared) and what comes back (GenerationEvent).
// Plain JSON only, so that it crosses threads and Redis unchanged.
import type { Parameters } from "./parameters.js";

/** What a client asks: one text. An array of inputs is several requests. */
export interface GenerationRequest {
  /** Folder name of a loaded model; the default model when absent. */
  readonly model?: string;
  readonly inputs: string;
  readonly parameters: Parameters;
  /** 1 (first) to 10; 5 when absent. */
  readonly priority?: number;
  /** The client waits for the whole answer: nobody looks at single tokens. */
  readonly readsWhole?: boolean;
  readonly trace?: TraceHeaders | undefined;
}

/** A span's place in its trace, as W3C Trace Context writes it into headers. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** A request with every default filled and text turned into ids: all the engine needs, and all a worker needs. */
export interface Prepared {
  /** Generation id, 128 random bits. */
  readonly id: string;
  readonly model: string;
  readonly sourceIds: readonly number[];
  readonly decoding: Decoding;
  /** Text is cut before the first of these strings. */
  readonly stop: readonly string[];
  readonly wantLogprobs: boolean;
  /** Alternatives reported per token, 0 for none. */
  readonly topN: number;
  readonly wantAttention: boolean;
  /** Milliseconds since the epoch after which decoding stops, or null. */
  readonly deadlineAt: number | null;
  /** 1 (first) to 10: who waits least for rows. */
  readonly priority: number;
  /** Ids to score after the prefix, instead of choosing any (POST /explain). */
  readonly scored?: readonly number[];
  /** Nobody looks at single tokens: they may travel in larger portions. */
  readonly readsWhole?: boolean;
  /** The span that what follows belongs to; absent where nothing is traced. */
  readonly trace?: TraceHeaders | undefined;
}

/** Decoding options of one sequence, resolved: names follow transformers' GenerationConfig, lengths count decoder ids. */
export interface Decoding {
  /** Decoder ids fed before the first choice: the start token, then any forced prefix. At least one. */
  readonly prefix: readonly number[];
  /** Decoder ids in all, prefix included. */
  readonly maxLength: number;
  /** EOS is refused while there are fewer decoder ids than this, prefix included. */
  readonly minLength: number;
  /** Ids after the prefix for which EOS is refused. */
  readonly minNewTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly numReturnSequences: number;
  readonly numBeams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | "never";
  readonly doSample: boolean;
  /** 0 ≤ seed < 2^53. With the output's index and the position it decides every draw. */
  readonly seed: number;
  readonly temperature: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  readonly minP: number | null;
  readonly typicalP: number;
  readonly epsilonCutoff: number;
  readonly etaCutoff: number;
  readonly repetitionPenalty: number;
  readonly encoderRepetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly encoderNoRepeatNgramSize: number;
  readonly badWordsIds: readonly (readonly number[])[];
  readonly suppressTokens: readonly number[];
  readonly beginSuppressTokens: readonly number[];
  readonly forcedBosTokenId: number | null;
  readonly forcedEosTokenIds: readonly number[];
  /** [start, factor] as in transformers' ExponentialDecayLengthPenalty; start counts from the end of the prefix. */
  readonly exponentialDecayLengthPenalty: readonly [number, number] | null;
  readonly sequenceBias: readonly { readonly ids: readonly number[]; readonly bias: number }[];
}

export type FinishReason = "eos_token" | "length" | "stop_sequence" | "deadline" | "cancelled";

/** Always the first event a queue yields: admission is over, so a stream may open before the first token is there. */
export interface AcceptedEvent {
  readonly type: "accepted";
}

export interface TopToken {
  readonly id: number;
  readonly text: string;
  /** Natural logarithm, under the model's own distribution. */
  readonly logprob: number;
  readonly special: boolean;
}

export interface TokenEvent {
  readonly type: "token";
  /** From 1 in each generation, no gaps: the SSE id. */
  readonly seq: number;
  /** Which output (num_return_sequences > 1). */
  readonly index: number;
  readonly id: number;
  /** What this token adds to the text; "" while a character is incomplete. */
  readonly text: string;
  readonly logprob?: number;
  /** Under the distribution that was drawn from, where options had changed it. */
  readonly sampledLogprob?: number;
  readonly special: boolean;
  readonly top?: readonly TopToken[];
  /** Of the model's distribution at this step, in nats; only when scoring. */
  readonly entropy?: number;
  /** Weights over the source tokens, summing to 1. */
  readonly attention?: readonly number[];
}

export interface OutputToken {
  readonly id: number;
  readonly text: string;
  readonly logprob?: number;
  /** Under the distribution that was drawn from, where options had changed it. */
  readonly sampledLogprob?: number;
  readonly special: boolean;
  readonly top?: readonly TopToken[];
  /** Of the model's distribution at this step, in nats; only when scoring. */
  readonly entropy?: number;
  readonly attention?: readonly number[];
}

export interface Output {
  readonly text: string;
  /** All ids after the start token: a forced prefix and EOS included, padding not. */
  readonly ids: readonly number[];
  /** transformers' sequences_scores for beams, mean log-probability otherwise; null when it was not asked for. */
  readonly score: number | null;
  readonly finishReason: FinishReason;
  /** The generated tokens (a forced prefix is not among them). */
  readonly tokens: readonly OutputToken[];
}

export interface Usage {
  readonly sourceTokens: number;
  readonly generatedTokens: number;
}

/** Milliseconds on the engine's monotonic clock. */
export interface Timings {
  readonly queueMs: number;
  readonly encodeMs: number;
  readonly decodeMs: number;
  readonly totalMs: number;
}

export interface EndEvent {
  readonly type: "end";
  /** Best first, one per returned sequence. */
  readonly outputs: readonly Output[];
  readonly usage: Usage;
  readonly timings: Timings;
}

export type GenerationEvent = AcceptedEvent | TokenEvent | EndEvent;

/**
 * The one function type of every layer. Yields token events, then exactly one end event, or throws an AppError. Queues yield an
 * accepted event before all others; their first `next()` throws "overloaded" or "unavailable" instead when there is no room.
 * Aborting the signal frees the rows within one step and ends the iterator by throwing the signal's reason.
 */
export type Generate = (prepared: Prepared, signal: AbortSignal) => AsyncIterable<GenerationEvent>;

/** Of a request that names none: 1 is served first, 10 last. */
export const defaultPriority = 5;

/** Outputs whose tokens are events as they come: a beam search streams only its best. */
export function streamedOutputs({ numBeams, numReturnSequences }: Decoding): number {
  return numBeams > 1 ? 1 : numReturnSequences;
}
