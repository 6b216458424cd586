// What every request goes through: its id, CORS, keys, and at the end one log line and one observation.
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../errors.js";
import type { Metrics } from "../../telemetry/metrics.js";
import { sentKey } from "./owner.js";
import type { App } from "./app.js";

const saneId = /^[\w.:@/+=-]{1,128}$/u;

/** The client's x-request-id when it is sane, else a new one. */
export function requestId({ headers }: Pick<IncomingMessage, "headers">): string {
  const sent = headers["x-request-id"];
  return typeof sent === "string" && saneId.test(sent) ? sent : randomUUID();
}

/** Puts the request's id on every answer, and logs and counts each. Paths and bodies are never logged: only the route's pattern is. */
export function observeRequests(app: App, metrics: Metrics): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "unknown";
    const { statusCode: status, elapsedTime } = reply;
    metrics.httpAnswered({ route, method: knownMethod(request.method), status, seconds: elapsedTime / 1000 });
    const line = { method: request.method, route, status, ms: Math.round(elapsedTime * 10) / 10 };
    if (isProbe(request.method, route)) request.log.debug(line, "answered");
    else request.log.info(line, "answered");
  });
}

/** Answers preflights and lets the pages of these origins read. Does nothing without origins. */
export function allowOrigins(app: App, origins: readonly string[]): void {
  if (origins.length === 0) return;
  app.addHook("onRequest", async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined) return undefined;
    reply.header("vary", "origin");
    if (!origins.includes("*") && !origins.includes(origin)) return undefined;
    reply.header("access-control-allow-origin", origins.includes("*") ? "*" : origin);
    reply.header(
      "access-control-expose-headers",
      "x-request-id, x-generation-id, retry-after, retry-after-ms, location, idempotent-replayed, traceresponse",
    );
    return isPreflight(request) ? answerPreflight(reply) : undefined;
  });
}

/** A hook that wants `Authorization: Bearer <one of keys>`; null when there are no keys. */
export function keyCheck(
  keys: readonly string[],
): ((request: Pick<FastifyRequest, "headers">) => Promise<void>) | null {
  if (keys.length === 0) return null;
  const known = keys.map(digest);
  return async ({ headers }) => {
    const sent = sentKey(headers);
    if (sent === null) throw new AppError("unauthorized", "authorization: needs a key, as Bearer");
    const given = digest(sent);
    // Digests have one length, and all keys are compared: the time taken tells nothing.
    const isKnown = known.map((key) => timingSafeEqual(key, given)).includes(true);
    if (!isKnown) throw new AppError("unauthorized", "authorization: no such key");
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .header("access-control-allow-methods", "GET, POST, DELETE, OPTIONS")
    .header(
      "access-control-allow-headers",
      "authorization, content-type, x-request-id, last-event-id, idempotency-key, traceparent, tracestate",
    )
    .header("access-control-max-age", 600)
    .code(204)
    .send();
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

// Clients may send any word as a method: labels must stay few.
function knownMethod(method: string): string {
  return methods.has(method) ? method : "other";
}

/** Asked again and again by machines: not logged, not traced. */
export function isProbe(method: string, route: string): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  return /^(?:\/v2)?\/health(?:\/|$)/u.test(route) || route === "/metrics" || route === "/";
}
