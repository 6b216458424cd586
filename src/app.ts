// buildApp() puts the routes over the parts: with parts.ts the only place that constructs and connects things.
import Fastify, { LogController, type FastifyBaseLogger, type FastifyServerOptions } from "fastify";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { Config } from "./config/config.js";
import type { Logger } from "./telemetry/log.js";
import type { Metrics } from "./telemetry/metrics.js";
import { ParametersSchema } from "./parameters.js";
import type { Parts } from "./wiring/parts.js";
import { OpenGenerations } from "./queue/open-generations.js";
import { collectDocument, documentRoutes } from "./routes/docs.js";
import { answerClientError, answerError } from "./routes/http/errors.js";
import { answerUnreadablePath, openAiUnknownRoutes } from "./routes/compatible/openai/error.js";
import { openAiModelRoutes, openAiRoutes } from "./routes/compatible/openai/routes.js";
import { explainSchemas } from "./routes/explain/schemas.js";
import { explainRoute } from "./routes/explain/routes.js";
import { answerSchemas, GenerateRequestSchema } from "./routes/generate/schemas.js";
import { generationsSchemas } from "./routes/generations/schemas.js";
import { eventsRoute } from "./routes/generations/events.js";
import { lookupRoutes } from "./routes/generations/lookup.js";
import { startRoute } from "./routes/generations/start.js";
import { generateRoutes } from "./routes/generate/routes.js";
import { healthRoutes, DeviceSchema, metricsRoute } from "./routes/health.js";
import { allowOrigins, keyCheck, observeRequests, requestId } from "./routes/http/hooks.js";
import { kserveModelRoutes } from "./routes/compatible/kserve/models.js";
import { kserveRoutes } from "./routes/compatible/kserve/routes.js";
import { languagesRoute, libreTranslateRoutes } from "./routes/compatible/libretranslate/routes.js";
import { Lifetime } from "./routes/http/lifetime.js";
import { modelRoutes, ModelSchema } from "./routes/models.js";
import { ajvOptions } from "./routes/http/validation-message.js";
import { watchRoutes } from "./routes/http/not-found.js";
import { pageRoutes } from "./routes/page.js";
import type { RouteParts } from "./routes/route-parts.js";
import { ErrorSchema } from "./routes/http/schemas.js";
import { usualTimings } from "./routes/http/sse.js";
import { rootRoutes } from "./routes/compatible/tgi.js";
import { traceRequests } from "./routes/http/traced.js";
import { tokenizeRoutes } from "./routes/tokenize.js";
import { version } from "./version.js";
import type { App } from "./routes/http/app.js";

/** An app that is ready to listen, and its state for a graceful end. */
export interface BuiltApp {
  readonly app: App;
  readonly lifetime: Lifetime;
}

/** All routes over these parts; of a worker only /health* and /metrics. Nothing listens yet. */
export async function buildApp(config: Config, parts: Parts): Promise<BuiltApp> {
  const { log, metrics, inference, queue, generations, scaleOut = null, device = null } = parts;
  const { sse = usualTimings, tracing = null } = parts;
  const lifetime = new Lifetime(inference.ready, () => metrics.clientDisconnected());
  const openGenerations = new OpenGenerations(config.maxGenerationsPerKey);
  const served = { inference, queue, generations, openGenerations, metrics, lifetime, scaleOut, device, sse };
  const routeParts = { config, version, ...served };
  metrics.watchQueue(() => queue.depth());
  const app = createServer(log, config.bodyLimit);
  traceRequests(app, tracing);
  observeRequests(app, metrics);
  allowOrigins(app, config.corsOrigin);
  watchRoutes(app);
  await app.register(async (scope) => openAiUnknownRoutes(scope), { prefix: "/v1" });
  for (const schema of [
    ErrorSchema,
    ParametersSchema,
    GenerateRequestSchema,
    DeviceSchema,
    ModelSchema,
    ...answerSchemas,
    ...explainSchemas,
    ...generationsSchemas,
  ])
    app.addSchema(schema);
  await collectDocument(app, version, config.apiKeys.length > 0);
  if (config.role !== "worker") {
    await app.register(async (scope) => keyedRoutes(scope, routeParts));
    await pageRoutes(app, version);
    modelRoutes(app, routeParts);
    await openAiModelRoutes(app, routeParts);
    kserveModelRoutes(app, routeParts);
    await app.register(async (scope) => libreTranslateRoutes(scope, routeParts));
    languagesRoute(app, routeParts);
  }
  healthRoutes(app, routeParts);
  if (config.metricsPort === null) metricsRoute(app, metrics);
  if (config.role !== "worker") await documentRoutes(app);
  await app.ready();
  return { app, lifetime };
}

/** A server with only /metrics, for METRICS_PORT. */
export function buildMetricsApp(log: Logger, metrics: Metrics): App {
  const app = createServer(log, 1024);
  metricsRoute(app, metrics);
  return app;
}

async function keyedRoutes(scope: App, parts: RouteParts): Promise<void> {
  const check = keyCheck(parts.config.apiKeys);
  if (check !== null) scope.addHook("onRequest", check);
  generateRoutes(scope, parts);
  explainRoute(scope, parts);
  startRoute(scope, parts);
  lookupRoutes(scope, parts);
  eventsRoute(scope, parts);
  tokenizeRoutes(scope, parts);
  rootRoutes(scope, parts);
  await openAiRoutes(scope, parts);
  kserveRoutes(scope, parts);
}

function createServer(log: Logger, bodyLimit: number): App {
  const options = {
    loggerInstance: log as FastifyBaseLogger,
    bodyLimit,
    // A name too long for any model is one that is not there, not a malformed request. Node bounds the whole head.
    routerOptions: { maxParamLength: 16_384 },
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "request_id" }),
    genReqId: requestId,
    // A whole request, headers and body: slow senders don't keep sockets for ever.
    requestTimeout: 60_000,
    // While draining, routes answer for themselves: probes still get their answer.
    return503OnClosing: false,
    ajv: { customOptions: ajvOptions },
    // Response schemas are documentation, checked by tests; JSON.stringify never drops a field nor fails on an odd number.
    // Set here and not by setSerializerCompiler(), which a scope with schemas of its own does not inherit.
    schemaController: { compilersFactory: { buildSerializer: () => () => (data: unknown) => JSON.stringify(data) } },
    frameworkErrors: answerUnreadablePath,
    clientErrorHandler: answerClientError,
  } satisfies FastifyServerOptions;
  const app = Fastify(options).withTypeProvider<TypeBoxTypeProvider>();
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler(answerError);
  closePromptly(app);
  return app;
}

// Fastify waits for keep-alive connections that turn idle after close() began, up to their 72 s (fastify #7044); and Node calls a
// connection that never sent a request busy (browsers and undici open such ones).
function closePromptly(app: App): void {
  let answering = 0;
  app.server.on("request", (_request, response) => {
    answering += 1;
    response.once("close", () => (answering -= 1));
  });
  app.addHook("preClose", async () => {
    const sweeper = setInterval(() => {
      if (answering === 0) app.server.closeAllConnections();
      else app.server.closeIdleConnections();
    }, 50);
    app.server.once("close", () => clearInterval(sweeper));
  });
}
