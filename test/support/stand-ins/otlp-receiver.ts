// A real OTLP/HTTP receiver: takes POST /v1/traces and decodes it with OpenTelemetry's own protobuf definitions.
import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";

export interface ReceivedSpan {
  readonly name: string;
  /** SERVER, CLIENT, CONSUMER, INTERNAL */
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  /** "" for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly string[];
  readonly resource: Readonly<Record<string, unknown>>;
}

interface Value {
  readonly stringValue?: string;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values?: readonly Value[] };
}

interface Pair {
  readonly key: string;
  readonly value: Value;
}

interface SentSpan {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: string };
  readonly attributes?: readonly Pair[];
  readonly events?: readonly { readonly name: string }[];
}

interface Sent {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly Pair[] };
    readonly scopeSpans?: readonly { readonly spans?: readonly SentSpan[] }[];
  }[];
}

const definitions = fromBinary(FileDescriptorSetSchema, readFileSync("test/fixtures/otlp/trace_service.binpb"));
const requestType = createFileRegistry(definitions).getMessage(
  "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
)!;

export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  /** What it answers from now on. */
  status = 200;
  readonly #server = createServer(async (request, response) => {
    const body = await buffer(request);
    this.headers.push(request.headers);
    const isKnown = request.method === "POST" && request.url === "/v1/traces";
    const status = isKnown ? this.status : 404;
    if (status === 200)
      this.spans.push(...decoded(request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body));
    response.writeHead(status, { "content-type": "application/x-protobuf" }).end();
  });

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(0, "127.0.0.1");
    await once(receiver.#server, "listening");
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits for it to come. */
  async span(name: string, isIt: (span: ReceivedSpan) => boolean = () => true): Promise<ReceivedSpan> {
    for (const started = performance.now(); performance.now() - started < 60_000; await sleep(20)) {
      const found = this.spans.find((span) => span.name === name && isIt(span));
      if (found !== undefined) return found;
    }
    throw new Error(`no span "${name}" came; there are: ${this.spans.map((span) => span.name).join(", ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

function decoded(body: Uint8Array): ReceivedSpan[] {
  const { resourceSpans = [] } = toJson(requestType, fromBinary(requestType, body)) as Sent;
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) =>
    scopeSpans.flatMap(({ spans = [] }) => spans.map((span) => received(span, fields(resource?.attributes)))),
  );
}

function received(span: SentSpan, resource: ReceivedSpan["resource"]): ReceivedSpan {
  const { name, kind, traceId, spanId, parentSpanId = "", traceState = "", attributes, events = [], status } = span;
  return {
    name,
    kind: kind.replace("SPAN_KIND_", ""),
    traceId: hex(traceId),
    spanId: hex(spanId),
    parentSpanId: hex(parentSpanId),
    traceState,
    start: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
    end: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
    isError: status?.code === "STATUS_CODE_ERROR",
    attributes: fields(attributes),
    events: events.map((event) => event.name),
    resource,
  };
}

const hex = (base64: string) => Buffer.from(base64, "base64").toString("hex");

function fields(pairs: readonly Pair[] = []): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, plain(value)]));
}

function plain({ stringValue, intValue, doubleValue, boolValue, arrayValue }: Value): unknown {
  if (intValue !== undefined) return Number(intValue);
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map(plain);
  return stringValue ?? doubleValue ?? boolValue;
}
