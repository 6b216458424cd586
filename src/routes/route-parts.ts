// What every route plugin is given: the typed Fastify instance and the parts that app.ts connected.
import type { Config } from "../config/config.js";
import type { ChosenDevice } from "../inference/device/choose-device.js";
import type { Inference } from "../inference/inference.js";
import type { Metrics } from "../telemetry/metrics.js";
import type { Generations } from "../queue/generations.js";
import type { OpenGenerations } from "../queue/open-generations.js";
import type { GenerationQueue } from "../queue/queue.js";
import type { Lifetime } from "./http/lifetime.js";
import type { SseTimings } from "./http/sse.js";
import type { Cluster } from "../queue/queue.js";

export interface RouteParts {
  readonly config: Config;
  readonly inference: Inference;
  readonly queue: GenerationQueue;
  /** Generations that outlive their request. */
  readonly generations: Generations;
  /** What each key has open on this node. */
  readonly openGenerations: OpenGenerations;
  readonly metrics: Metrics;
  readonly lifetime: Lifetime;
  /** Null when everything is in this process. */
  readonly scaleOut: Cluster | null;
  /** What models of this process run on; null where it starts no engines. */
  readonly device: ChosenDevice | null;
  readonly sse: SseTimings;
  readonly version: string;
}
