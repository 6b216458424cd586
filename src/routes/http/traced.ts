// A span for every request but probes: under the caller's traceparent, sent back as traceresponse, its ids on the request's log lines.
import type { FastifyRequest } from "fastify";
import type { OpenSpan, Tracing } from "../../telemetry/tracing/spans.js";
import { requestEnd, requestStart } from "../../telemetry/tracing/http-spans.js";
import type { TraceHeaders } from "../../generation.js";
import { isProbe } from "./hooks.js";
import type { App } from "./app.js";

declare module "fastify" {
  interface FastifyRequest {
    /** Null where nothing is traced. */
    span: OpenSpan | null;
  }
}

/** Without tracing only the field is there. Before hooks that log. */
export function traceRequests(app: App, tracing: Tracing | null): void {
  app.decorateRequest("span", null);
  if (tracing === null) return;
  app.addHook("onRequest", async (request, reply) => {
    if (isProbe(request.method, request.routeOptions.url ?? "")) return;
    const span = tracing.start(spanStart(request), callerContext(request));
    request.span = span;
    request.log = reply.log = request.log.child(span.logFields);
    reply.header("traceresponse", span.headers.traceparent);
    // onResponse does not come for a client that left.
    const { raw } = reply;
    raw.once("close", () => span.end(requestEnd(raw.statusCode, !raw.writableFinished)));
  });
}

function spanStart({ method, url, protocol, headers, raw, routeOptions }: FastifyRequest) {
  return requestStart({
    method,
    route: routeOptions.url,
    url,
    scheme: protocol,
    host: headers.host,
    userAgent: headers["user-agent"],
    httpVersion: raw.httpVersion,
  });
}

function callerContext({ headers: { traceparent, tracestate } }: FastifyRequest): TraceHeaders | undefined {
  if (typeof traceparent !== "string") return undefined;
  return { traceparent, ...(typeof tracestate === "string" ? { tracestate } : {}) };
}
