// API nodes and workers over a real Redis, in this process, with a scripted inference in place of models.
import { pino } from "pino";
import type { Prepared, TokenEvent, GenerationEvent } from "../../../src/generation.js";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { ModelAdmission, type AdmissionLimits } from "../../../src/queue/admission.js";
import { ApiNode, type ApiNodeOptions, type ApiTimings } from "../../../src/queue/bull/api-node.js";
import type { JobTimings } from "../../../src/queue/bull/bull-job.js";
import { WorkerNode } from "../../../src/queue/bull/worker-node.js";
import { modelInfo } from "./scripted.js";

export type Continue = (
  prepared: Prepared,
  logged: readonly TokenEvent[],
  signal: AbortSignal,
) => AsyncIterable<GenerationEvent>;

export interface NodeOptions {
  readonly url: string;
  readonly prefix?: string;
  readonly model?: string;
  readonly digest?: string;
  readonly ttlMs?: number;
}

const quiet = pino({ level: process.env["TEST_LOG"] ?? "silent" });
const wide: AdmissionLimits = { maxQueuedRequests: 100, maxQueuedTokens: 10_000 };

let nodes = 0;

export interface TestApiOptions extends NodeOptions {
  readonly timings?: ApiTimings;
  readonly webhooks?: ApiNodeOptions["webhooks"];
}

export function startApi(options: TestApiOptions, limits = wide) {
  const { url, prefix = "test", model = "scripted", digest = "d".repeat(64), timings } = options;
  const metrics = createMetrics("test", { runtime: false });
  const admission = new ModelAdmission(
    limits,
    () => performance.now(),
    () => undefined,
  );
  const node = new ApiNode({
    redisUrl: url,
    prefix,
    ttlMs: options.ttlMs ?? 60_000,
    inference: {
      digest: () => Promise.resolve(digest),
      models: () => [modelInfo({ name: model })],
      learn: () => undefined,
    },
    learns: true,
    admission,
    metrics,
    webhooks: options.webhooks ?? null,
    logger: quiet,
    node: `api-${(nodes += 1)}`,
    ...(timings === undefined ? {} : { timings }),
  });
  node.start();
  const close = async () => {
    await node.queue.close();
    await node.generations.close();
    await node.close();
    metrics.close();
  };
  return { node, metrics, close };
}

export interface TestWorkerOptions extends NodeOptions {
  readonly variant?: string;
  readonly capacity?: number;
  readonly timings?: JobTimings;
  readonly stallTimeoutMs?: number;
}

export function startWorker(continueRun: Continue, options: TestWorkerOptions) {
  const { url, prefix = "test", model = "scripted", digest = "d".repeat(64), variant = "v1", capacity = 32 } = options;
  const metrics = createMetrics("test", { runtime: false });
  const node = new WorkerNode({
    redisUrl: url,
    prefix,
    ttlMs: options.ttlMs ?? 60_000,
    inference: {
      continue: continueRun,
      models: () => [modelInfo({ name: model })],
      digest: () => Promise.resolve(digest),
      variant: () => variant,
      facts: () => null,
    },
    capacity,
    metrics: metrics.scaleOut,
    logger: quiet,
    worker: `worker-${(nodes += 1)}`,
    version: "test",
    ...(options.timings === undefined ? {} : { timings: options.timings }),
    ...(options.stallTimeoutMs === undefined ? {} : { stallTimeoutMs: options.stallTimeoutMs }),
  });
  node.start();
  const close = async (drainMs = 1000) => {
    await node.drain(drainMs);
    await node.close();
    metrics.close();
  };
  return { node, metrics, close };
}
