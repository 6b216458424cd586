// The parts under the routes, made and connected for a real server. Apart from app.ts so that documents and route tests need no engine.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../config/config.js";
import { cpuLimit } from "../config/cpu-limit.js";
import { localGenerations, type LocalGenerations } from "./generations.js";
import { chooseDevice, type ChosenDevice } from "../inference/device/choose-device.js";
import type { OnRan } from "../inference/generation/generate.js";
import { createInference, type Inference } from "../inference/inference.js";
import type { ModelInfo } from "../inference/catalog/model-info.js";
import type { Logger } from "../telemetry/log.js";
import { createMetrics, type Metrics } from "../telemetry/metrics.js";
import { ModelAdmission } from "../queue/admission.js";
import { measuredQueue } from "../queue/measurement.js";
import { MemoryQueue } from "../queue/memory/memory-queue.js";
import type { GenerationQueue } from "../queue/queue.js";
import type { SseTimings } from "../routes/http/sse.js";
import { webhookWriter } from "../routes/generations/answer.js";
import { connectNodes } from "./scale-out.js";
import { record, type Tracing } from "../telemetry/tracing/spans.js";
import { engineSpans } from "../telemetry/tracing/generation-spans.js";
import { version } from "../version.js";
import type { ScaleOut } from "./scale-out.js";
import { openTracing } from "../telemetry/tracing/open-tracing.js";

/** What the routes stand on. Tests put their own in. */
export interface Parts extends LocalGenerations {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly inference: Inference;
  readonly queue: GenerationQueue;
  /** Null without REDIS_URL: everything in this process. */
  readonly scaleOut?: ScaleOut | null;
  /** What models of this process run on; null where it starts no engines. */
  readonly device?: ChosenDevice | null;
  readonly sse?: SseTimings;
  /** Null without OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly tracing?: Tracing | null;
}

/** Makes the real parts; models start to load. Throws one line when MODELS_DIR, a MODEL or DEVICE is not there. */
export async function connect(config: Config, log: Logger): Promise<Parts> {
  const metrics = createMetrics(version);
  const device = await ownDevice(config, log, metrics);
  const tracing = await openTracing(config, log);
  const admission = new ModelAdmission(
    config,
    () => performance.now(),
    (reason) => metrics.rejected(reason),
  );
  const inference = await createInference({
    modelsDir: config.modelsDir,
    models: config.models.length === 0 ? null : config.models,
    device: (device ?? onCpu).device,
    dtype: config.dtype,
    cacheDir: cacheOf(config),
    engines: config.engines,
    startsEngines: config.role !== "api",
    threads: config.threads,
    cpus: cpuLimit(),
    maxBatchRows: config.maxBatchRows,
    maxEncodeTokens: config.maxEncodeTokens,
    limits: { maxInputTokens: config.maxInputTokens, maxNewTokens: config.maxNewTokens, maxBeams: config.maxBeams },
    defaultTimeoutMs: config.defaultTimeoutMs,
    idleUnloadMs: config.idleUnloadMs,
    loadTimeoutMs: config.loadTimeoutMs,
    ...(tracing === null ? {} : { onRan: engineTracer(tracing) }),
    onArrival: (model) => refuseIfFull(admission, metrics, model),
    onStep: (model, report) => metrics.step(model, report),
    ...modelNews(config, log, metrics),
  });
  metrics.watchModels(() => inference.models());
  const { redisUrl } = config;
  const common = { log, metrics, inference, tracing, writeWebhook: webhookWriter(inference) };
  const scaleOut = redisUrl === null ? null : connectNodes({ ...common, config, redisUrl, admission });
  const api = scaleOut?.api ?? null;
  // A worker has no routes that would submit anything.
  const queue = measuredQueue(api?.queue ?? new MemoryQueue(inference.generate, admission), metrics, tracing);
  const { generations, webhooks } =
    api === null ? localGenerations(config, { ...common, queue }) : { generations: api.generations, webhooks: null };
  return { log, metrics, inference, queue, generations, webhooks, scaleOut, device, tracing };
}

// It never becomes a generation, and is counted as one that was rejected.
function refuseIfFull(admission: ModelAdmission, metrics: Metrics, model: string): void {
  try {
    admission.refuseIfFull(model);
  } catch (error) {
    metrics.generationRefused(model);
    throw error;
  }
}

function cacheOf({ cacheDir }: Config): string {
  return cacheDir === "none" ? mkdtempSync(join(tmpdir(), "seqserve-")) : cacheDir;
}

/** What becomes of models, for the log and the metrics. */
function modelNews({ idleUnloadMs }: Config, log: Logger, metrics: Metrics) {
  return {
    onLoaded: (info: ModelInfo) => {
      const loadSeconds = info.loadMs / 1000;
      if (info.state === "ready") metrics.modelLoaded(info.name, { ...info, ...info.memory, loadSeconds });
      else log.error({ model: info.name, error: info.error }, "model failed to load");
    },
    onUnloaded: ({ name }: ModelInfo) => {
      metrics.modelUnloaded(name);
      log.info({ model: name, idle_ms: idleUnloadMs }, "model unloaded: no requests");
    },
  };
}

/** For folders that are read where no engine is started. */
const onCpu = { device: "cpu" };

async function ownDevice({ device: setting, dtype, role }: Config, log: Logger, metrics: Metrics) {
  if (role === "api") return null;
  const chosen = await chooseDevice(setting, dtype);
  const { device, reason, why } = chosen;
  if (why !== null) log.info({ device, reason }, why);
  metrics.deviceChosen(device, reason);
  return chosen;
}

function engineTracer(tracing: Tracing): OnRan {
  return (prepared, end, startedAt) => {
    for (const span of engineSpans(prepared, end, startedAt)) record(tracing, span, prepared.trace);
  };
}
