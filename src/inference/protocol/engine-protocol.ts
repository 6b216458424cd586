// Every message that crosses the thread boundary between EngineHost (main thread) and the engine's worker. Plain data only.
//
//   host ── load · submit · cancel · finish · close ──▶ worker          host ── try ──▶ worker
//   host ◀── ready · stepped · failed · closed ── worker                 host ◀── tried ── worker
import type { Decoding, FinishReason } from "../../generation.js";
import type { TransformerFacts } from "./facts.js";
import type { ModelPlan } from "./plan.js";

// The engine takes these from here: it knows of nothing but protocol/ and onnx/.
export type { Decoding, FinishReason };

/** How an engine runs; the same for all sequences. */
export interface EngineOptions {
  /** Rows of one run at most. */
  readonly maxBatchRows: number;
  /** Padded source tokens encoded per step at most; a single longer source still runs, alone. */
  readonly maxEncodeTokens: number;
  /** ONNX Runtime threads of this engine. */
  readonly threads: number;
  /** "cpu" or "cuda:<number>" */
  readonly device: string;
}

/** One generation as the engine sees it. */
export interface SequenceSpec {
  /** Unique in this engine. */
  readonly id: number;
  readonly sourceIds: readonly number[];
  readonly decoding: Decoding;
  readonly wantLogprobs: boolean;
  readonly topN: number;
  readonly wantAttention: boolean;
  /** Milliseconds since the epoch, or null. */
  readonly deadlineAt: number | null;
  /** Waiting ones with a lower number are admitted first. */
  readonly priority: number;
  /** Ids that each output begins with: another worker chose them. */
  readonly resumedIds?: readonly (readonly number[])[];
  /** Tokens that another worker had already emitted: until the engine has committed as many, the sequence steps ahead of the others. */
  readonly resumedTokens?: number;
  /** Ids to score instead of choosing any. */
  readonly scored?: readonly number[];
}

export type ToEngine =
  | { readonly type: "load"; readonly plan: ModelPlan; readonly options: EngineOptions; readonly probe: Probe }
  | { readonly type: "submit"; readonly sequence: SequenceSpec }
  /** Forget it: nothing comes back. */
  | { readonly type: "cancel"; readonly id: number }
  /** End it now with what there is: finish reason "stop_sequence". */
  | { readonly type: "finish"; readonly id: number }
  /** Open and run a session on the device, no model: answered by tried. */
  | { readonly type: "try"; readonly device: string }
  | { readonly type: "close" };

export interface ScoredToken {
  readonly id: number;
  readonly logprob: number;
}

/** A token that is final. Optional fields are absent when not wanted or not at hand. Log-probabilities are of the model's own distribution (log-softmax of raw logits), in nats. */
export interface EngineToken {
  readonly id: number;
  readonly logprob?: number;
  /** Under the distribution that was drawn from, where processors or warpers had changed it. */
  readonly sampledLogprob?: number;
  readonly top?: readonly ScoredToken[];
  /** Of the model's distribution at this step, in nats; only when scoring. */
  readonly entropy?: number;
  /** [source tokens] */
  readonly attention?: Float32Array;
}

export interface EngineOutput {
  readonly tokens: readonly EngineToken[];
  /** transformers' sequences_scores for beams; mean log-probability otherwise, null when log-probabilities were not wanted. */
  readonly score: number | null;
  readonly finishReason: FinishReason;
  /** With beams: the sum of processed log-probabilities up to each token. */
  readonly sums?: readonly number[];
}

export interface EngineTimings {
  readonly queueMs: number;
  readonly encodeMs: number;
  readonly decodeMs: number;
}

export type EngineEnd =
  | {
      readonly id: number;
      readonly ok: true;
      readonly outputs: readonly EngineOutput[];
      readonly timings: EngineTimings;
      readonly run: RunReport;
    }
  | { readonly id: number; readonly ok: false; readonly error: EngineError };

/** Numbers of one sequence's runs, for traces. */
export interface RunReport {
  /** Milliseconds since the epoch. */
  readonly endedAt: number;
  /** Sources encoded with its own, that one included. */
  readonly encodedSources: number;
  /** Decoder runs it was in, and the rows of all sequences in them. */
  readonly steps: number;
  readonly meanRows: number;
  readonly maxRows: number;
}

/** What went wrong with one sequence, not with the engine. */
export interface EngineError {
  readonly kind: "generation" | "deadline";
  readonly message: string;
}

/** Numbers of one engine step. */
export interface StepTotals {
  readonly rows: number;
  readonly rowCapacity: number;
  readonly encodedSources: number;
  /** Real source tokens encoded in this step, and the padding that ran with them. */
  readonly sourceTokens: number;
  readonly paddedTokens: number;
  readonly encodeMs: number;
  /** The model's step as a whole. */
  readonly decodeMs: number;
  /** Scheduling, choosing and reporting. */
  readonly hostMs: number;
  /** Tokens that became final. */
  readonly tokens: number;
  /** Sequences still waiting for rows. */
  readonly waiting: number;
}

/** With what only the engine's thread knows. For metrics. */
export interface StepReport extends StepTotals {
  /** Time that the engine's thread did not wait for messages, since the report before. */
  readonly busyMs: number;
  /** Time that it paused before this step, for lightly loaded engines. */
  readonly yieldedMs: number;
}

/** What the engine found out while loading. */
export interface EngineInfo {
  readonly vocabSize: number;
  readonly hasAttention: boolean;
  /** Version of ONNX Runtime. */
  readonly runtime: string;
  /** The device sessions really run on. */
  readonly device: string;
  /** Sentences for the banner, the log and /info: what was chosen and why, what could not be done. */
  readonly notes: readonly string[];
  readonly loadMs: number;
  /** Of a transformer; null for layouts without graphs to rewrite. */
  readonly facts: TransformerFacts | null;
  /** Of the model's files, weights beside them included. */
  readonly weightBytes: number;
}

export type FromEngine =
  | { readonly type: "ready"; readonly info: EngineInfo }
  | {
      readonly type: "stepped";
      readonly tokens: readonly { readonly id: number; readonly output: number; readonly token: EngineToken }[];
      readonly ended: readonly EngineEnd[];
      readonly report: StepReport;
    }
  /** Loading failed: one line that names file, role, expected and found. */
  | { readonly type: "failed"; readonly message: string }
  /** null: it ran. */
  | { readonly type: "tried"; readonly fault: string | null }
  | { readonly type: "closed" };

/** What to run. */
export interface Probe {
  readonly sourceIds: readonly number[];
  readonly startId: number;
  /** Ids that files set, by field: each must be one that the decoder scores. */
  readonly ids: readonly { readonly field: string; readonly id: number }[];
  /** File names, for messages. */
  readonly encoderFile: string;
  readonly decoderFile: string;
  /** The last id of the manifest's source vocabulary, which is among the sources; null: none. */
  readonly lastSourceId: number | null;
}
