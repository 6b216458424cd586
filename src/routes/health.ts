// GET /health/live: the loop turns. /health/ready: send traffic. /health: TGI's one probe, with what there is to know. /metrics: Prometheus.
import { Type, type Static } from "typebox";
import type { Inference } from "../inference/inference.js";
import type { RouteParts } from "./route-parts.js";
import { described, open, ref, nullable } from "./http/schemas.js";
import type { App } from "./http/app.js";
import type { ChosenDevice } from "../inference/device/choose-device.js";
import type { FastifyInstance } from "fastify";
import type { Metrics } from "../telemetry/metrics.js";

/** What models run on, as /info and /health show it. */
export const DeviceSchema = Type.Object(
  {
    name: Type.String({ description: "cpu or cuda:<number>" }),
    reason: Type.Unsafe<ChosenDevice["reason"]>({
      type: "string",
      enum: ["asked", "found", "dtype", "platform", "device", "driver", "package", "libraries", "trial"],
      description:
        "asked: DEVICE names it; found: DEVICE=auto found CUDA; dtype: DTYPE is made for CPUs; else the first thing that it lacked.",
    }),
    why: nullable("string", "Why DEVICE=auto took the CPU: all that is missing."),
  },
  { $id: "Device", description: "What models of this process run on." },
);

export function deviceBody({ device, reason, why }: ChosenDevice): Static<typeof DeviceSchema> {
  return { name: device, reason, why };
}

const LiveSchema = Type.Object({ status: Type.Literal("live") });
const ReadySchema = Type.Object({
  status: Type.Unsafe<string>({ type: "string", enum: ["ready", "loading", "draining", "failed", "unavailable"] }),
  reason: Type.Optional(Type.String({ description: "Why not, when it is not the models." })),
  device: Type.Optional(ref(DeviceSchema)),
  workers: Type.Optional(
    Type.Record(Type.String(), Type.Integer(), {
      description: "With REDIS_URL: workers by model, 0 = its requests wait.",
    }),
  ),
});
const HealthSchema = Type.Object({
  ...ReadySchema.properties,
  version: Type.String(),
  uptime_seconds: Type.Number(),
  models: Type.Record(Type.String(), Type.String(), { description: "State by name." }),
  queue: Type.Object({ queued_requests: Type.Integer(), queued_tokens: Type.Integer(), running: Type.Integer() }),
});

export function healthRoutes(app: App, parts: RouteParts): void {
  const common = { tags: ["health"], security: open };
  app.get(
    "/health/live",
    {
      schema: {
        ...common,
        operationId: "getLive",
        summary: "Alive?",
        response: { 200: described(LiveSchema, "Alive") },
      },
    },
    async () => {
      return { status: "live" as const };
    },
  );
  app.get(
    "/health/ready",
    {
      schema: {
        ...common,
        operationId: "getReady",
        summary: "Ready for traffic?",
        response: { 200: described(ReadySchema, "Ready"), 503: described(ReadySchema, "Not ready") },
      },
    },
    async (_request, reply) => {
      const state = await readiness(parts);
      return reply.code(state.status === "ready" ? 200 : 503).send({ ...state, ...deviceField(parts) });
    },
  );
  app.get(
    "/health",
    {
      schema: {
        ...common,
        operationId: "getHealth",
        summary: "Ready, and how things are",
        response: { 200: described(HealthSchema, "Ready"), 503: described(HealthSchema, "Not ready") },
      },
    },
    async (_request, reply) => {
      const { queuedRequests, queuedTokens, running } = await parts.queue.depth();
      const state = await readiness(parts);
      return reply.code(state.status === "ready" ? 200 : 503).send({
        ...state,
        ...deviceField(parts),
        version: parts.version,
        uptime_seconds: Math.round(process.uptime()),
        models: Object.fromEntries(parts.inference.models().map(({ name, state }) => [name, state])),
        queue: { queued_requests: queuedRequests, queued_tokens: queuedTokens, running },
      });
    },
  );
}

interface Readiness {
  readonly status: string;
  readonly reason?: string;
  readonly workers?: Readonly<Record<string, number>>;
}

/** Whether requests are answered now, and if not, why. */
export async function readiness({ lifetime, inference, scaleOut, config }: RouteParts): Promise<Readiness> {
  if (lifetime.state !== "ready") return { status: lifetime.state };
  if (scaleOut === null) return { status: modelsStatus(inference) };
  if (!scaleOut.isRedisUp) return { status: "unavailable", reason: "Redis can't be reached" };
  const workers = await scaleOut.workers();
  // What an API node needs of models is on workers: without any, requests wait for one.
  return { status: config.role === "worker" ? modelsStatus(inference) : "ready", ...(workers !== null && { workers }) };
}

function deviceField({ device }: RouteParts) {
  return device === null ? {} : { device: deviceBody(device) };
}

// One model that works is enough: the others' failures are in /health and /models.
function modelsStatus(inference: Inference): "ready" | "failed" {
  return inference.models().some(({ state }) => state === "ready" || state === "idle") ? "ready" : "failed";
}

const prometheusText = { description: "Prometheus' text format", content: { "text/plain": { schema: Type.String() } } };

/** GET /metrics for Prometheus: on the main port, or on METRICS_PORT. */
export function metricsRoute(app: Pick<FastifyInstance, "get">, metrics: Metrics): void {
  const schema = { tags: ["health"], security: open, operationId: "getMetrics", summary: "Prometheus metrics" };
  app.get("/metrics", { schema: { ...schema, response: { 200: prometheusText } } }, async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
