// What REDIS_URL adds to a process: an API node, a worker node, or both, by ROLE. Used by parts.ts and server.ts only.
//
//   all    routes ▶ ApiNode ▶ Redis ▶ WorkerNode ▶ engines     one process, or several that share the work
//   api    routes ▶ ApiNode ▶ Redis                            no weights
//   worker                    Redis ▶ WorkerNode ▶ engines     only /health* and /metrics
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Config } from "../config/config.js";
import { webhookSending } from "./generations.js";
import type { Inference } from "../inference/inference.js";
import type { Logger } from "../telemetry/log.js";
import type { Metrics } from "../telemetry/metrics.js";
import type { ModelAdmission } from "../queue/admission.js";
import { ApiNode } from "../queue/bull/api-node.js";
import { WorkerNode } from "../queue/bull/worker-node.js";
import type { LookupStatus } from "../queue/log/token-log.js";
import type { Tracing } from "../telemetry/tracing/spans.js";
import { version } from "../version.js";
import type { Cluster } from "../queue/queue.js";

/** The nodes of this process; at least one. */
export interface ScaleOut extends Cluster {
  readonly api: ApiNode | null;
  readonly worker: WorkerNode | null;
  close(): Promise<void>;
}

export interface ScaleOutParts {
  readonly config: Config;
  readonly redisUrl: string;
  readonly inference: Inference;
  readonly admission: ModelAdmission;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly tracing: Tracing | null;
  /** JSON text of a webhook. */
  readonly writeWebhook: (status: LookupStatus) => string;
}

/** Connects; Redis need not be there yet. */
export function connectNodes(parts: ScaleOutParts): ScaleOut {
  const { config, redisUrl, inference, admission, metrics, log, tracing } = parts;
  const { role, redisPrefix: prefix } = config;
  const node = nodeName();
  const common = { redisUrl, prefix, ttlMs: config.generationTtlSeconds * 1000, inference, tracing };
  const sending = webhookSending(config, { log, metrics, tracing });
  const webhooks = sending === null ? null : { ...sending, write: parts.writeWebhook };
  const logger = log.child({ role });
  const learns = role === "api";
  const api = role === "worker" ? null : new ApiNode({ ...common, learns, admission, metrics, webhooks, logger, node });
  const capacity = (config.engines ?? 1) * config.maxBatchRows;
  const workerParts = { capacity, metrics: metrics.scaleOut, logger, worker: node, version };
  const worker = role === "api" ? null : new WorkerNode({ ...common, ...workerParts });
  api?.start();
  worker?.start();
  const isRedisUp = (): boolean => (api?.isUp ?? true) && (worker?.isUp ?? true);
  metrics.scaleOut.watch({
    role,
    isRedisUp,
    jobs: async () => (await api?.jobLevels()) ?? [],
    workers: async () => (await api?.workers()) ?? {},
    redis: async () => (await api?.redisLevel()) ?? null,
    held: () => worker?.levels() ?? [],
  });
  return {
    api,
    worker,
    get isRedisUp() {
      return isRedisUp();
    },
    workers: () => api?.workers() ?? null,
    close: async () => {
      await api?.close();
      await worker?.close();
    },
  };
}

/** For people: where Redis is, without user or password. */
export function shownUrl(redisUrl: string): string {
  try {
    const { protocol, host, pathname } = new URL(redisUrl);
    return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
  } catch {
    return "a Redis whose URL can't be read";
  }
}

function nodeName(): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9.-]/gu, "-");
  return `${host}-${process.pid}-${randomBytes(3).toString("hex")}`;
}
