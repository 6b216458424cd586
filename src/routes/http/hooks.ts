// What every request goes through: its id, CORS, keys, and at the end one log line and one observation.
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, IncomingHttpHeaders } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../errors.js";
import type { Metrics } from "../../telemetry/metrics.js";
import type { App } from "./app.js";
import type { Socket } from "node:net";
import { FairQueue } from "../../inference/host/fair-queue.js";

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
    metrics.httpAnswered({ route, method: methodLabel(request.method), status, seconds: elapsedTime / 1000 });
    const line = { method: request.method, route, status, ms: Math.round(elapsedTime * 10) / 10 };
    if (isProbe(request.method, route)) request.log.debug(line, "answered");
    else request.log.info(line, "answered");
  });
}

/**
 * Answers preflights and lets the pages of these origins read. Does nothing without origins.
 * Not @fastify/cors: its route for `OPTIONS *` would take the place of our 404 and 405 and of their metrics, and it marks answers to
 * requests without an Origin too. Undoing that takes more hooks than this one.
 */
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
  const known = keys.map(sha256);
  return async ({ headers }) => {
    const sent = bearerKey(headers);
    if (sent === null) throw new AppError("unauthorized", "authorization: needs a key, as Bearer");
    const given = sha256(sent);
    // Digests have one length, and all keys are compared: the time taken tells nothing.
    const isKnown = known.map((key) => timingSafeEqual(key, given)).includes(true);
    if (!isKnown) throw new AppError("unauthorized", "authorization: no such key");
  };
}

function sha256(text: string): Buffer {
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
function methodLabel(method: string): string {
  return methods.has(method) ? method : "other";
}

/** Asked again and again by machines: not logged, not traced. */
export function isProbe(method: string, route: string): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  return /^(?:\/v2)?\/health(?:\/|$)/u.test(route) || route === "/metrics" || route === "/";
}

/** The key of `Authorization: Bearer <key>`, or null. */
function bearerKey({ authorization }: Pick<IncomingHttpHeaders, "authorization">): string | null {
  return /^bearer (.+)$/iu.exec(authorization ?? "")?.[1] ?? null;
}

/**
 * Whose a request is: generations that can be looked up are bound to the API key that started them. A digest of the key, which a hook
 * has checked; "" on a server without keys, where all callers are one.
 */
export function requestOwner(headers: IncomingHttpHeaders, keys: readonly string[]): string {
  const key = keys.length === 0 ? null : bearerKey(headers);
  return key === null ? "" : createHash("sha256").update(key).digest("hex");
}

/**
 * Bodies are read one of each model per tick of the event loop, so that a request which comes with a burst on another model does not wait
 * for all of the burst's bodies. Which model a body names is known once it is read: until then its connection's last request stands for it.
 * For the routes of `app` that are registered after this.
 */
export function readOnePerTick(app: App, queue = new FairQueue()): void {
  const lastModels = new WeakMap<Socket, string>();
  app.addHook("onRequest", ({ raw: { socket } }) => queue.enter(lastModels.get(socket) ?? ""));
  app.addHook("preHandler", async ({ raw: { socket }, body }) => {
    lastModels.set(socket, modelOfBody(body));
  });
}

function modelOfBody(body: unknown): string {
  const { model } = (body ?? {}) as { readonly model?: unknown };
  return typeof model === "string" ? model : "";
}
