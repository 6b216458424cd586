// The span of one HTTP request, with the names of OpenTelemetry's HTTP conventions. Pure. Queries, headers with secrets and bodies are not in it.
import type { Attributes, SpanEnd, SpanStart } from "./spans.js";

export interface TracedRequest {
  readonly method: string;
  /** The pattern it matched. */
  readonly route: string | undefined;
  /** As it came, query included. */
  readonly url: string;
  readonly scheme: string;
  readonly host: string | undefined;
  readonly userAgent: string | undefined;
  readonly httpVersion: string;
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export function requestStart({ method, route, url, ...request }: TracedRequest): SpanStart {
  const isKnown = methods.has(method);
  const verb = isKnown ? method : "HTTP";
  const attributes: Attributes = {
    "http.request.method": isKnown ? method : "_OTHER",
    "http.route": route,
    // A path that no route knows may be anything.
    "url.path": route === undefined ? undefined : url.split("?", 1)[0],
    "url.scheme": request.scheme,
    "server.address": request.host?.replace(/:\d+$/u, ""),
    "network.protocol.version": request.httpVersion,
    "user_agent.original": request.userAgent,
  };
  return { name: route === undefined ? verb : `${verb} ${route}`, kind: "server", attributes };
}

/** @param hasLeft the client was gone before the answer's end */
export function requestEnd(status: number, hasLeft: boolean): SpanEnd {
  return {
    attributes: { "http.response.status_code": status, "seqserve.client_left": hasLeft ? true : undefined },
    error: status >= 500 ? String(status) : null,
  };
}
