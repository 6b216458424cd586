// `seqserve` and `seqserve serve`: log → parts → app → listen → models → banner, and the same way back at SIGTERM.
import type { AddressInfo } from "node:net";
import closeWithGrace from "close-with-grace";
import { buildApp, buildMetricsApp, type BuiltApp } from "../app.js";
import type { Config } from "../config/config.js";
import type { App } from "../routes/http/app.js";
import { createLog, isForPeople, type Logger } from "../telemetry/log.js";
import { version } from "../version.js";
import { connect, type Parts } from "../wiring/parts.js";
import { shownUrl } from "../wiring/scale-out.js";
import { banner, failureLine } from "./banner.js";
import { withProgress } from "./progress.js";

/** What has to be closed at the end. */
interface RunningServer {
  readonly config: Config;
  readonly parts: Parts;
  readonly built: BuiltApp;
  readonly metricsApp: App | null;
}

/** Returns when the server is ready; it runs until a signal ends it. */
export async function serve(settings: Config): Promise<void> {
  const log = createLog(settings, process.stdout);
  const config = await pullModels(settings, log);
  const server = await start(config, log);
  closeWithGrace({ delay: config.drainTimeoutMs + 20_000, logger: log }, ({ err, signal }) => {
    if (err !== undefined) log.fatal({ err }, "unexpected error");
    else log.info({ signal }, "shutting down");
    return stop(server);
  });
  await announce(server, log);
}

// Models of the Hub that are missing are pulled before anything listens.
async function pullModels(config: Config, log: Logger): Promise<Config> {
  if (!config.models.some((name) => name.includes("/"))) return config;
  const { pullMissing } = await import("./pull.js");
  return pullMissing(config, (line) => log.info(line));
}

// Listens before the models are loaded, so that probes are answered and requests get a 503 until then.
async function start(config: Config, log: Logger): Promise<RunningServer> {
  const parts = await connect(config, log);
  const built = await buildApp(config, parts);
  const metricsApp = config.metricsPort === null ? null : buildMetricsApp(log, parts.metrics);
  await built.app.listen({
    host: config.host,
    port: config.port,
    listenTextResolver: (address) => `listening on ${address}`,
  });
  await metricsApp?.listen({ host: config.host, port: config.metricsPort ?? 0 });
  return { config, parts, built, metricsApp };
}

async function announce({ config, parts, built }: RunningServer, log: Logger): Promise<void> {
  const { inference } = parts;
  const loading = () => {
    const names = inference.models().flatMap(({ name, state }) => (state === "loading" ? [name] : []));
    return `loading ${names.join(", ")}`;
  };
  await withProgress(inference.ready, { text: loading, show: (line) => log.info(line) });
  if (built.lifetime.state === "draining") return;
  const models = inference.models();
  const url = urlOf(config, built.app.server.address());
  const seconds = process.uptime();
  const { modelsDir, role, redisUrl } = config;
  const shared = redisUrl === null ? null : { role, redis: shownUrl(redisUrl) };
  if (isForPeople(config, process.stdout)) {
    process.stdout.write(banner({ version, url, modelsDir, models, seconds, colour: process.stdout.isTTY, shared }));
    return;
  }
  for (const model of models) {
    const { name, state, layout, dtype, device, files, notes } = model;
    const error = model.error === undefined ? undefined : failureLine(model, modelsDir);
    log.info({ model: name, state, layout, dtype, device, files, notes, error }, "model");
  }
  log.info({ version, url, models_dir: modelsDir, seconds, ...shared }, "ready");
}

// No new work is taken. Running answers may finish, then the jobs of other nodes; then parts are closed in the opposite order of a request, so
// that none calls one that is closed.
async function stop({ config, parts, built, metricsApp }: RunningServer): Promise<void> {
  const { app, lifetime } = built;
  const deadline = performance.now() + config.drainTimeoutMs;
  const drained = Promise.all([lifetime.drain(config.drainTimeoutMs), parts.generations.close()]);
  // A worker answers only probes: they get their answers until it has given away its jobs.
  if (config.role === "worker") await parts.scaleOut?.worker?.drain(config.drainTimeoutMs);
  const closed = app.close();
  await drained;
  await Promise.race([closed, delay(2000)]);
  app.server.closeAllConnections();
  await closed;
  await parts.webhooks?.close();
  await parts.queue.close();
  await parts.scaleOut?.worker?.drain(Math.max(0, deadline - performance.now()));
  await parts.scaleOut?.close();
  await parts.inference.close();
  await metricsApp?.close();
  await parts.tracing?.close();
  parts.metrics.close();
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function urlOf({ host, port }: Config, address: AddressInfo | string | null): string {
  const real = typeof address === "object" && address !== null ? address.port : port;
  const shown = host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host;
  return `http://${shown}:${real}`;
}
