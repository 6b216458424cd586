// The only home of OpenTelemetry: spans are gathered here and sent as OTLP over HTTP (protobuf), in batches, in the background.
//
//   start … end ──▶ bounded queue ──every second, or 512──▶ POST {endpoint}/v1/traces ──▶ collector
//                       └─ full: the newest are dropped            └─ fails: tried again for a while, then dropped, and logged once a minute
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes as OtelAttributes,
  type Context,
  type Span,
  type Tracer,
} from "@opentelemetry/api";
import { ExportResultCode, W3CTraceContextPropagator, type ExportResult } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type ReadableSpan,
  type SpanExporter,
} from "@opentelemetry/sdk-trace";
import type { TraceHeaders } from "../../generation.js";
import type { OpenSpan, SpanEnd, SpanStart, Tracing } from "./spans.js";

export interface OtlpOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Share of the traces that begin here; where the caller has decided, that counts. */
  readonly ratio: number;
  readonly resource: Readonly<Record<string, string>>;
  readonly onFailure: NoteFailure;
}

/** Spans, of which a generation makes about five. */
const queueSize = 8192;
const batchSize = 512;
const sendEveryMs = 1000;
const requestTimeoutMs = 10_000;
const closeTimeoutMs = 3000;

const kinds = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const;
const propagator = new W3CTraceContextPropagator();

export class OtlpTracing implements Tracing {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;

  constructor({ url, headers, ratio, resource, onFailure }: OtlpOptions) {
    const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: requestTimeoutMs });
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ ...resource, "service.instance.id": randomUUID() }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new NotingExporter(exporter, new FailureNotes(onFailure)),
          maxQueueSize: queueSize,
          maxExportBatchSize: batchSize,
          scheduledDelayMillis: sendEveryMs,
          exportTimeoutMillis: requestTimeoutMs,
        }),
      ],
    });
    this.#tracer = this.#provider.getTracer("seqserve", resource["service.version"]);
  }

  start({ name, kind, attributes, at }: SpanStart, parent: TraceHeaders | undefined): OpenSpan {
    const options = {
      kind: kinds[kind],
      attributes: definedAttributes(attributes),
      ...(at === undefined ? {} : { startTime: at }),
    };
    return new StartedSpan(this.#tracer.startSpan(name, options, contextOf(parent)));
  }

  async close(): Promise<void> {
    const closed = this.#provider.shutdown().catch(() => undefined);
    await Promise.race([closed, sleep(closeTimeoutMs, undefined, { ref: false })]);
  }
}

class StartedSpan implements OpenSpan {
  readonly headers: TraceHeaders;
  readonly logFields: Readonly<Record<string, string>>;
  readonly #span: Span;

  constructor(span: Span) {
    const carrier: Record<string, string> = {};
    propagator.inject(trace.setSpan(ROOT_CONTEXT, span), carrier, defaultTextMapSetter);
    const { traceparent = "", tracestate } = carrier;
    const { traceId, spanId } = span.spanContext();
    this.#span = span;
    this.headers = { traceparent, ...(tracestate === undefined ? {} : { tracestate }) };
    this.logFields = { trace_id: traceId, span_id: spanId };
  }

  event(name: string, at: number): void {
    this.#span.addEvent(name, at);
  }

  end({ name, attributes = {}, error = null, at }: SpanEnd = {}): void {
    if (name !== undefined) this.#span.updateName(name);
    this.#span.setAttributes(definedAttributes(attributes));
    if (error !== null) this.#span.setAttribute("error.type", error).setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end(at);
  }
}

/** An exporter that notes what could not be sent. */
class NotingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #notes: FailureNotes;

  constructor(exporter: SpanExporter, notes: FailureNotes) {
    this.#exporter = exporter;
    this.#notes = notes;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.FAILED) this.#notes.add(result.error, performance.now());
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}

function contextOf(parent: TraceHeaders | undefined): Context {
  return parent === undefined ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, parent, defaultTextMapGetter);
}

function definedAttributes(attributes: SpanStart["attributes"]): OtelAttributes {
  const entries = Object.entries(attributes).flatMap(([name, value]) => {
    return value === undefined ? [] : [[name, typeof value === "object" ? [...value] : value] as const];
  });
  return Object.fromEntries(entries);
}

/** `failures`: how many there were since the last note, this one included. */
export type NoteFailure = (error: Error, failures: number) => void;

const everyMs = 60_000;

/** Says at most once a minute that traces could not be sent, and how often since the last time. Pure: the clock is passed in. */
export class FailureNotes {
  readonly #note: NoteFailure;
  #failures = 0;
  #notedAt = -Infinity;

  constructor(note: NoteFailure) {
    this.#note = note;
  }

  /** @param now monotonic milliseconds */
  add(error: Error | undefined, now: number): void {
    this.#failures += 1;
    if (now - this.#notedAt < everyMs) return;
    this.#note(error ?? new Error("no reason given"), this.#failures);
    this.#failures = 0;
    this.#notedAt = now;
  }
}
