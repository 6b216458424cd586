// GET /metrics for Prometheus: on the main port, or on METRICS_PORT.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { Metrics } from "../telemetry/metrics.js";
import { open } from "./http/schemas.js";

const text = { description: "Prometheus' text format", content: { "text/plain": { schema: Type.String() } } };

export function metricsRoute(app: Pick<FastifyInstance, "get">, metrics: Metrics): void {
  const schema = { tags: ["health"], security: open, operationId: "getMetrics", summary: "Prometheus metrics" };
  app.get("/metrics", { schema: { ...schema, response: { 200: text } } }, async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
