// GET /health/live: the loop turns. /health/ready: send traffic. /health: TGI's one probe, with what there is to know.
import { Type } from "typebox";
import type { App, RouteParts } from "./parts.js";

const LiveSchema = Type.Object({ status: Type.Literal("live") });
const ReadySchema = Type.Object({
  status: Type.Unsafe<string>({ type: "string", enum: ["ready", "loading", "draining", "failed"] }),
});
const HealthSchema = Type.Object({
  status: ReadySchema.properties.status,
  version: Type.String(),
  uptime_seconds: Type.Number(),
  models: Type.Record(Type.String(), Type.String(), { description: "State by name." }),
  queue: Type.Object({ queued_requests: Type.Integer(), queued_tokens: Type.Integer(), running: Type.Integer() }),
});

export function healthRoutes(app: App, parts: RouteParts): void {
  const tags = ["health"];
  const status = () => readiness(parts);
  app.get("/health/live", { schema: { tags, summary: "Alive?", response: { 200: LiveSchema } } }, async () => {
    return { status: "live" as const };
  });
  app.get(
    "/health/ready",
    { schema: { tags, summary: "Ready for traffic?", response: { 200: ReadySchema, 503: ReadySchema } } },
    async (_request, reply) => reply.code(status() === "ready" ? 200 : 503).send({ status: status() }),
  );
  app.get(
    "/health",
    { schema: { tags, summary: "Ready, and how things are", response: { 200: HealthSchema, 503: HealthSchema } } },
    async (_request, reply) => {
      const { queuedRequests, queuedTokens, running } = await parts.queue.depth();
      return reply.code(status() === "ready" ? 200 : 503).send({
        status: status(),
        version: parts.version,
        uptime_seconds: Math.round(process.uptime()),
        models: Object.fromEntries(parts.inference.models().map(({ name, state }) => [name, state])),
        queue: { queued_requests: queuedRequests, queued_tokens: queuedTokens, running },
      });
    },
  );
}

// One model that works is enough: the others' failures are in /health and /models.
export function readiness({ lifetime, inference }: RouteParts): string {
  if (lifetime.state !== "ready") return lifetime.state;
  return inference.models().some(({ state }) => state === "ready" || state === "idle") ? "ready" : "failed";
}
