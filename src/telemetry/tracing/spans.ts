// What the server knows of traces: spans to start under a parent that came as headers. OpenTelemetry is behind it, in tracing/otlp.ts, and is
// loaded only where OTEL_EXPORTER_OTLP_ENDPOINT is set: without it there is no Tracing, and nobody asks for spans.
//
//   traceparent ──▶ HTTP span ──Prepared.trace──▶ generation ──▶ queue, encode, decode          (tracing/*-spans.ts: which, pure)
//                                                    └──JobData.trace──▶ Redis ──▶ run ──▶ queue, encode, decode
import type { TraceHeaders } from "../../generation.js";

export type Attributes = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Times are milliseconds since the epoch; absent: now. */
export interface SpanStart {
  readonly name: string;
  readonly kind: "server" | "client" | "consumer" | "internal";
  readonly attributes: Attributes;
  readonly at?: number;
}

export interface SpanEnd {
  /** The final name, where the first was a guess. */
  readonly name?: string;
  readonly attributes?: Attributes;
  /** What failed: a code of few values, never a text of a user. */
  readonly error?: string | null;
  readonly at?: number;
}

/** One that is over already, with both its times. */
export interface PastSpan extends SpanStart, SpanEnd {
  readonly name: string;
  readonly attributes: Attributes;
  readonly at: number;
  readonly endedAt: number;
}

export interface OpenSpan {
  /** As children elsewhere need it. */
  readonly headers: TraceHeaders;
  /** trace_id and span_id, as log lines carry them. */
  readonly logFields: Readonly<Record<string, string>>;
  event(name: string, at: number): void;
  end(end?: SpanEnd): void;
}

export interface Tracing {
  /** A root of its own without a parent, or with one that is not in W3C's form. */
  start(span: SpanStart, parent: TraceHeaders | undefined): OpenSpan;
  /** Sends what is left, for a few seconds at most. Never throws. */
  close(): Promise<void>;
}

export function record(tracing: Tracing, span: PastSpan, parent: TraceHeaders | undefined): void {
  const { endedAt, error = null, ...start } = span;
  tracing.start(start, parent).end({ error, at: endedAt });
}
