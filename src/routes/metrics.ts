// GET /metrics for Prometheus: on the main port, or on METRICS_PORT.
import type { FastifyInstance } from "fastify";
import type { Metrics } from "../metrics.js";

export function metricsRoute(app: Pick<FastifyInstance, "get">, metrics: Metrics): void {
  app.get("/metrics", { schema: { tags: ["health"], summary: "Prometheus metrics" } }, async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
