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

/** What still has to be closed, in this order. */
interface RunningServer {
  readonly config: Config;
  readonly parts: Parts;
  readonly built: BuiltApp;
  readonly metricsApp: App | null;
}

/** Returns when the server is ready; it runs until a signal ends it. */
export async function serve(settings: Config): Promise<void> {
  const log = createLog(settings, process.stdout);
  const config = await pullMissingModels(settings, log);
  const server = await start(config, log);
  closeWithGrace({ delay: config.drainTimeoutMs + 20_000, logger: log }, ({ err, signal }) => {
    if (err !== undefined) log.fatal({ err }, "unexpected error");
    else log.info({ signal }, "shutting down");
    return stop(server);
  });
  await announce(server, log);
}

// A model of the Hub that is not there yet comes before anything listens.
async function pullMissingModels(config: Config, log: Logger): Promise<Config> {
  if (!config.models.some((name) => name.includes("/"))) return config;
  const { withPulledModels } = await import("./pull.js");
  return withPulledModels(config, (line) => log.info(line));
}

// Listens before the models are loaded: probes are answered and callers get an honest 503.
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

// Not ready, no new work; running answers may finish, then what runs here for others; then right to left, so that nobody calls what is gone.
async function stop({ config, parts, built, metricsApp }: RunningServer): Promise<void> {
  const { app, lifetime } = built;
  const until = performance.now() + config.drainTimeoutMs;
  const drained = Promise.all([lifetime.drain(config.drainTimeoutMs), parts.generations.close()]);
  // A worker has nobody to answer but probes: they are told until it has given away its jobs.
  if (config.role === "worker") await parts.scaleOut?.worker?.drain(config.drainTimeoutMs);
  const closed = app.close();
  await drained;
  await Promise.race([closed, later(2000)]);
  app.server.closeAllConnections();
  await closed;
  await parts.webhooks?.close();
  await parts.queue.close();
  await parts.scaleOut?.worker?.drain(Math.max(0, until - performance.now()));
  await parts.scaleOut?.close();
  await parts.inference.close();
  await metricsApp?.close();
  await parts.tracing?.close();
  parts.metrics.close();
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function urlOf({ host, port }: Config, address: AddressInfo | string | null): string {
  const real = typeof address === "object" && address !== null ? address.port : port;
  const shown = host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host;
  return `http://${shown}:${real}`;
}
