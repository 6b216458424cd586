// Calls of a webhook as spans, each attempt one, under the generation that wanted it; the receiver gets the call's own traceparent.
import type { Tracing } from "../../telemetry/tracing/spans.js";
import { deliver, WebhookError } from "./webhooks.js";

export type Deliver = typeof deliver;

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
