// One signed call of a webhook (Standard Webhooks): a POST to an address that is checked at the moment of connecting; with traces on, a span.
// When to try again is decided by webhook-timers.ts in one process and by BullMQ across many.
//
//   deliver ──2xx──▶ resolves     408, 429, 5xx, network ──▶ throws, retryable     anything else ──▶ throws, not retryable
import { createHmac } from "node:crypto";
import { lookup as resolve, type LookupAddress, type LookupOptions } from "node:dns";
import { request as requestHttp, type RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction } from "node:net";
import type { TraceHeaders } from "../../generation.js";
import { isPublicAddress, literalAddress } from "./webhook-address.js";
import type { Tracing } from "../../telemetry/tracing/spans.js";

export interface DeliveryOptions {
  /** webhook-id: the same in every attempt, so that a receiver can tell repeats. */
  readonly messageId: string;
  /** Whether private and loopback addresses are allowed. */
  readonly allowPrivate: boolean;
  /** Of one attempt, from the look-up of the name to the status line. */
  readonly timeoutMs?: number;
  /** Ends the attempt early. */
  readonly signal?: AbortSignal;
  /** Sent along, so that what the receiver does belongs to the same trace. */
  readonly trace?: TraceHeaders | undefined;
}

/** An attempt that failed. The message holds no text of a user and nothing of the answer but its status. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
  readonly isRetryable: boolean;
  /** What the receiver asked for by Retry-After, or null. */
  readonly retryAfterMs: number | null;

  constructor(message: string, details: { isRetryable: boolean; retryAfterMs?: number | null; cause?: unknown }) {
    super(message, { cause: details.cause });
    this.isRetryable = details.isRetryable;
    this.retryAfterMs = details.retryAfterMs ?? null;
  }
}

const usualTimeoutMs = 10_000;
const retryableStatuses = new Set([408, 429]);

/** Sends `body` (JSON text) once. Resolves on a 2xx; throws WebhookError otherwise. Redirects are not followed, the answer's body is not read. */
export async function deliver(url: string, body: string, secret: string, options: DeliveryOptions): Promise<void> {
  const target = new URL(url);
  const literal = literalAddress(target);
  if (literal !== null && !options.allowPrivate && !isPublicAddress(literal)) throw refusedAddress();
  const { status, retryAfter } = await post(
    target,
    body,
    { ...signedHeaders(body, secret, options.messageId), ...options.trace },
    options,
  );
  if (status >= 200 && status < 300) return;
  throw new WebhookError(`answered ${status}`, {
    isRetryable: status >= 500 || retryableStatuses.has(status),
    retryAfterMs: retryAfterMs(retryAfter, Date.now()),
  });
}

/** The bytes that sign: those behind whsec_ are base64, as Standard Webhooks writes secrets; any other text signs as it is. */
export function signingKey(secret: string): Buffer {
  if (!secret.startsWith("whsec_")) return Buffer.from(secret, "utf8");
  const encoded = secret.slice("whsec_".length);
  const key = Buffer.from(encoded, "base64");
  if (key.length > 0 && key.toString("base64") === encoded) return key;
  throw new Error("WEBHOOK_SECRET: what follows whsec_ must be base64");
}

/** Milliseconds that a Retry-After header asks for, or null. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/u.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

function signedHeaders(body: string, secret: string, messageId: string): Record<string, string | number> {
  const timestamp = Math.floor(Date.now() / 1000);
  const signature = createHmac("sha256", signingKey(secret)).update(`${messageId}.${timestamp}.${body}`);
  return {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "user-agent": "seqserve",
    "webhook-id": messageId,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature.digest("base64")}`,
  };
}

interface StatusLine {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

function post(
  target: URL,
  body: string,
  headers: Record<string, string | number>,
  { allowPrivate, timeoutMs = usualTimeoutMs, signal }: DeliveryOptions,
): Promise<StatusLine> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const request = target.protocol === "https:" ? requestHttps : requestHttp;
  const options: RequestOptions = {
    method: "POST",
    headers,
    // A connection of its own: none that was made under other rules is used again.
    agent: false,
    signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    ...(allowPrivate ? {} : { lookup: publicLookup }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(target, options, (response) => {
      resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] });
      response.destroy();
    });
    sent.on("error", (error) => reject(networkError(error, timeout.aborted)));
    sent.end(body);
  });
}

function networkError(error: Error, isTimeout: boolean): WebhookError {
  if (error instanceof WebhookError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const reason = isTimeout ? "no answer in time" : `the network failed${code === undefined ? "" : ` (${code})`}`;
  return new WebhookError(reason, { isRetryable: true, cause: error });
}

function refusedAddress(): WebhookError {
  return new WebhookError("leads to an address that is not public (WEBHOOK_PRIVATE)", { isRetryable: false });
}

type Resolved = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

// Node connects to nothing but what this passes on, so a name can't resolve to one address here and to another there.
const publicLookup: LookupFunction = (hostname: string, options: LookupOptions, done: Resolved) => {
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    const [first] = addresses ?? [];
    if (error !== null || first === undefined) return done(error, "");
    if (!addresses.every(({ address }) => isPublicAddress(address))) return done(refusedAddress(), "");
    return options.all === true ? done(null, addresses) : done(null, first.address, first.family);
  });
};

export type Deliver = typeof deliver;

/** Each attempt is a span under the generation that wanted it; the receiver gets the attempt's own traceparent. */
export function tracedDelivery(tracing: Tracing): Deliver {
  return async (url, body, secret, { trace, ...options }) => {
    // Never the URL's path or query: they may hold a secret.
    const attributes = { "http.request.method": "POST", "server.address": new URL(url).hostname };
    const called = { ...attributes, "seqserve.generation.id": options.messageId };
    const span = tracing.start({ name: "webhook", kind: "client", attributes: called }, trace);
    try {
      await deliver(url, body, secret, { ...options, trace: span.headers });
      span.end();
    } catch (error) {
      span.end({ error: error instanceof WebhookError ? error.message : "internal" });
      throw error;
    }
  };
}
