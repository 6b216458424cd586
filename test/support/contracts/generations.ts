// Generations for tests of logs: records, tokens, ends.
import { randomBytes } from "node:crypto";
import type { EndEvent, TokenEvent } from "../../../src/generation.js";
import type { FailureEvent, LookupRecord, LogEntry, LogEvent } from "../../../src/queue/log/token-log.js";
import { decoding } from "../models/decoding.js";

export function recordOf(overrides: Partial<LookupRecord> = {}): LookupRecord {
  const id = overrides.id ?? randomBytes(16).toString("hex");
  return {
    id,
    owner: "",
    createdAt: 1_700_000_000_000,
    priority: 1,
    prepared: {
      id,
      model: "scripted",
      sourceIds: [5, 6, 7],
      decoding: decoding(),
      stop: [],
      wantLogprobs: false,
      topN: 0,
      wantAttention: false,
      deadlineAt: null,
      priority: 5,
    },
    request: { text: "grüße, 世界", parameters: {} },
    webhookUrl: null,
    ...overrides,
  };
}

export function token(seq: number, id = seq * 10): LogEntry {
  return { seq, event: { type: "token", seq, index: 0, id, text: ` ${id}ü`, special: false } satisfies TokenEvent };
}

/** Tokens first … last. */
export function tokens(first: number, last: number): LogEntry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => token(first + i));
}

export function end(seq: number): LogEntry {
  const usage = { sourceTokens: 3, generatedTokens: seq - 1 };
  const timings = { queueMs: 1, encodeMs: 2.5, decodeMs: 3, totalMs: 6.5 };
  return { seq, event: { type: "end", outputs: [], usage, timings } satisfies EndEvent };
}

export function failure(seq: number, kind: FailureEvent["kind"] = "generation"): LogEntry {
  return { seq, event: { type: "failure", kind, message: "it failed" } };
}

export function isToken(event: LogEvent): event is TokenEvent {
  return event.type === "token";
}
