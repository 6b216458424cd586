// The process: settings → log → parts → app → listen → banner, and the same way back at SIGTERM. Commands that serve nobody are in commands/.
import type { AddressInfo } from "node:net";
import closeWithGrace from "close-with-grace";
import { buildApp, buildMetricsApp, type BuiltApp } from "./app.js";
import { banner } from "./cli/banner.js";
import { ConfigError, readCommand, turnReportsOff, type Config } from "./config/config.js";
import { createLog, isForPeople, type Logger } from "./telemetry/log.js";
import { connect, type Parts } from "./wiring/parts.js";
import { withProgress } from "./cli/progress.js";
import { shownUrl } from "./wiring/scale-out.js";
import { commandHelp, commandRows, type CommandName } from "./config/command-line.js";
import { helpText } from "./config/settings.js";
import { version } from "./version.js";
import type { App } from "./routes/http/app.js";

/** What still has to be closed, in this order. */
interface Running {
  readonly config: Config;
  readonly parts: Parts;
  readonly built: BuiltApp;
  readonly metricsApp: App | null;
}

async function main(): Promise<void> {
  turnReportsOff();
  const command = readCommand();
  if (command.kind === "version") return void process.stdout.write(`${version}\n`);
  if (command.kind === "help") return help(command.of);
  if (command.kind !== "serve") {
    const { run } = await import("./cli/run.js");
    process.exitCode = await run(command);
    return;
  }
  const log = createLog(command.config, process.stdout);
  const config = await pulled(command.config, log);
  const running = await start(config, log);
  closeWithGrace({ delay: config.drainTimeoutMs + 20_000, logger: log }, ({ err, signal }) => {
    if (err !== undefined) log.fatal({ err }, "unexpected error");
    else log.info({ signal }, "shutting down");
    return stop(running);
  });
  await announce(running, log);
}

function help(of: CommandName | null): void {
  process.stdout.write(of === null ? helpText(version, commandRows()) : commandHelp(of));
}

// A model of the Hub that is not there yet comes before anything listens.
async function pulled(config: Config, log: Logger): Promise<Config> {
  if (!config.models.some((name) => name.includes("/"))) return config;
  const { withPulledModels } = await import("./cli/pull.js");
  return withPulledModels(config, (line) => log.info(line));
}

// Listens before the models are loaded: probes are answered and callers get an honest 503.
async function start(config: Config, log: Logger): Promise<Running> {
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

async function announce({ config, parts, built }: Running, log: Logger): Promise<void> {
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
  for (const { name, state, layout, dtype, device, files, notes, error, draft } of models) {
    log.info({ model: name, state, layout, dtype, device, files, notes, error, draft }, "model");
  }
  log.info({ version, url, models_dir: modelsDir, seconds, ...shared }, "ready");
}

// Not ready, no new work; running answers may finish, then what runs here for others; then right to left, so that nobody calls what is gone.
async function stop({ config, parts, built, metricsApp }: Running): Promise<void> {
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

// One line and exit code 1 for what a person can change (a setting, a folder, a port); a stack for a bug.
function refuse(error: unknown): void {
  const isProblem = error instanceof ConfigError || (error instanceof Error && error.constructor === Error);
  const text = error instanceof Error ? ((isProblem ? null : error.stack) ?? error.message) : String(error);
  process.stderr.write(`seqserve: ${text}\n`);
  process.exit(1);
}

try {
  await main();
} catch (error) {
  refuse(error);
}
