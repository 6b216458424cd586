// What other layers tell metrics.ts: plain data.
import type { FinishReason } from "../generation.js";

export type { StepReport } from "../inference/protocol/engine-protocol.js";

export type Outcome = "ok" | "error" | "cancelled" | "timeout" | "rejected";

/** How a generation went. Seconds, on a monotonic clock. */
export interface GenerationReport {
  readonly outcome: Outcome;
  /** Of the first output; null when there is none. */
  readonly finishReason: FinishReason | null;
  readonly queueSeconds: number;
  /** From arrival, or null when no token came. With it the time per output token can be told. */
  readonly firstTokenSeconds?: number | null;
  readonly totalSeconds: number;
  readonly sourceTokens: number;
  /** Over all outputs. */
  readonly generatedTokens: number;
}

export interface LoadedModel {
  readonly layout: string;
  readonly device: string;
  readonly dtype: string;
  readonly version: string | null;
  /** Threads that run it here. */
  readonly engines: number;
  readonly loadSeconds: number;
  /** null: not known. */
  readonly weightBytes: number | null;
  readonly loadedBytes: number | null;
}

export interface ModelState {
  readonly name: string;
  readonly state: "loading" | "ready" | "idle" | "failed";
}

export interface HttpReport {
  /** The route's pattern, never the path a client sent. */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

export interface QueueLevel {
  readonly queuedRequests: number;
  readonly queuedTokens: number;
}

/** "ended": nothing is left to read. */
export type ResumeResult = "resumed" | "ended" | "expired" | "log_lost" | "unknown";

export type WebhookResult = "delivered" | "retried" | "given_up";
