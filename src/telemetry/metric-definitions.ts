// Every metric's name, labels, meaning and buckets. With metrics.ts the only home of prom-client.
// Few labels of few values each: never a request id, key, path or text of a user.
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

// A step of a small seq2seq model takes 1 to 20 ms on CPU: the usual floors of 10 ms would put all of it into one bucket.
const stepSeconds = [
  0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5,
];
// OpenTelemetry's buckets for whole requests, finer below and with a longer tail.
const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5, 10, 20, 40, 80];
const tokenCounts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const rowCounts = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256];

/** All metrics, created in `registry`. */
export function defineMetrics(registry: Registry) {
  return {
    ...http(registry),
    ...generations(registry),
    ...batching(registry),
    ...waiting(registry),
    ...scaleOut(registry),
    ...redis(registry),
    ...about(registry),
  };
}

export type Definitions = ReturnType<typeof defineMetrics>;

function makers(registry: Registry) {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name: `seqserve_${name}`, help, labelNames: [...labelNames], registers }),
    gauge: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge<L>({ name: `seqserve_${name}`, help, labelNames: [...labelNames], registers }),
    histogram: <L extends string>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []) =>
      new Histogram<L>({ name: `seqserve_${name}`, help, buckets, labelNames: [...labelNames], registers }),
  };
}

function http(registry: Registry) {
  const { counter, gauge, histogram } = makers(registry);
  return {
    httpDuration: histogram("http_request_duration_seconds", "Request line to last byte.", requestSeconds, [
      "route",
      "method",
      "status_class",
    ]),
    streamsOpen: gauge("http_streams_open", "Event streams open now."),
    clientDisconnects: counter("client_disconnects_total", "Clients that left before their answer was complete."),
    resumes: counter(
      "resume_total",
      "Requests for the events after a number: resumed, ended (nothing left), expired, log_lost or unknown.",
      ["result"],
    ),
    webhookAttempts: counter(
      "webhook_attempts_total",
      "Calls of webhooks: delivered, retried (failed, another try follows) or given_up.",
      ["result"],
    ),
  };
}

function generations(registry: Registry) {
  const { counter, gauge, histogram } = makers(registry);
  const model = ["model"] as const;
  return {
    requests: counter("requests_total", "Generations ended, by outcome.", ["model", "outcome"]),
    finishReasons: counter("finish_reasons_total", "Why the first output of a generation ended.", ["model", "reason"]),
    running: gauge("requests_running", "Generations between start and end.", model),
    queueTime: histogram("queue_time_seconds", "Admission to the first step.", requestSeconds, model),
    firstToken: histogram("time_to_first_token_seconds", "Arrival to the first token.", requestSeconds, model),
    interToken: histogram(
      "inter_token_latency_seconds",
      "Between two tokens of one generation; for a client that waits for all of them, their mean.",
      stepSeconds,
      model,
    ),
    perToken: histogram(
      "time_per_output_token_seconds",
      "(duration - first token) / (tokens - 1).",
      stepSeconds,
      model,
    ),
    duration: histogram("request_duration_seconds", "Arrival to the end of a generation.", requestSeconds, model),
    sourceLength: histogram("request_source_tokens", "Source tokens per generation.", tokenCounts, model),
    generatedLength: histogram("request_generated_tokens", "Generated tokens per generation.", tokenCounts, model),
    generatedTokens: counter("generated_tokens_total", "Tokens of ended generations.", model),
  };
}

function batching(registry: Registry) {
  const { counter, gauge, histogram } = makers(registry);
  const model = ["model"] as const;
  return {
    steps: counter("steps_total", "Engine steps.", model),
    stepDuration: histogram(
      "step_duration_seconds",
      "Parts of an engine step: encode, decode, host; give_way: lightly loaded engines went first.",
      stepSeconds,
      ["model", "phase"],
    ),
    batchRows: histogram("batch_rows", "Rows decoded together in a step.", rowCounts, model),
    rowsUsed: gauge("batch_rows_used", "Rows of the last step; 0 without a step since the last scrape.", model),
    rowsTotal: gauge("batch_rows_capacity", "Rows that a step may have.", model),
    engineTokens: counter("engine_tokens_total", "Tokens that became final in engine steps.", model),
    encodedSources: counter("encoded_sources_total", "Inputs encoded.", model),
    sourceTokens: counter("source_tokens_total", "Source tokens encoded, padding not counted.", model),
    paddingTokens: counter("source_padding_tokens_total", "Padding encoded along with source tokens.", model),
    engineWaiting: gauge("engine_waiting", "Sequences in the engine that wait for rows.", model),
    engines: gauge("engines", "Engine threads that run.", model),
    engineBusy: counter(
      "engine_busy_seconds_total",
      "Time that engine threads were busy, over all of the model: its rate divided by seqserve_engines is their utilisation.",
      model,
    ),
  };
}

function waiting(registry: Registry) {
  const { counter, gauge } = makers(registry);
  return {
    queuedRequests: gauge("queued_requests", "Generations that wait for their first token."),
    queuedTokens: gauge("queued_tokens", "Source tokens of generations that wait."),
    rejected: counter("rejected_total", "Generations refused with 429, by the bound they hit.", ["reason"]),
  };
}

// Of processes with REDIS_URL; elsewhere they stay at 0.
function scaleOut(registry: Registry) {
  const { counter, gauge, histogram } = makers(registry);
  const model = ["model"] as const;
  return {
    jobs: gauge("jobs", "Jobs in Redis by state, told by processes with the API role: use max by.", ["model", "state"]),
    jobRedeliveries: counter("job_redeliveries_total", "Jobs found without their worker and queued again.", model),
    fencedAppends: counter("fenced_appends_total", "Appends refused as a later worker has the generation."),
    logAppend: histogram("log_append_seconds", "One flush of a worker to the token log.", stepSeconds),
    streamLag: histogram("stream_lag_seconds", "A worker's append to its arrival on the API node.", stepSeconds),
    workers: gauge(
      "workers",
      "Workers that announce themselves, told by processes with the API role: use max by.",
      model,
    ),
    workerJobs: gauge("worker_jobs", "Jobs that this worker holds.", model),
    workerRows: gauge("worker_rows", "Rows of the jobs that this worker holds.", model),
    workerCapacity: gauge("worker_rows_capacity", "Rows that this worker's engines have.", model),
    lockRenewFailures: counter("lock_renew_failures_total", "Locks found lost when they were to be renewed.", model),
    watchdogRestarts: counter("worker_watchdog_restarts_total", "Workers made anew as they took no jobs.", model),
    handoffs: counter("handoffs_total", "Running generations handed to other workers at shutdown.", model),
  };
}

// From Redis' own INFO, asked by processes with the API role at each scrape: all of them give the same, use max. The label keeps them away from processes without Redis.
function redis(registry: Registry) {
  const { counter, gauge } = makers(registry);
  const role = ["role"] as const;
  return {
    redisUp: gauge("redis_up", "1 while Redis answers; absent without REDIS_URL.", role),
    redisMemory: gauge("redis_memory_bytes", "Memory that Redis uses for data and clients.", role),
    redisMemoryLimit: gauge("redis_memory_limit_bytes", "Redis' maxmemory; 0: none.", role),
    redisEvictions: counter("redis_evicted_keys_total", "Keys that Redis dropped for want of memory.", role),
    redisClients: gauge("redis_clients", "Connections that Redis has.", role),
    redisCommands: counter("redis_commands_total", "Commands that Redis has run.", role),
    redisAofOk: gauge("redis_aof_write_ok", "1 while Redis can write its append-only file, or keeps none.", role),
  };
}

function about(registry: Registry) {
  const { counter, gauge } = makers(registry);
  return {
    buildInfo: gauge("build_info", "Always 1.", ["version", "node"]),
    deviceInfo: gauge(
      "device_info",
      "Always 1: what models run on; reason asked (DEVICE names it), found, or what DEVICE=auto lacked for CUDA.",
      ["device", "reason"],
    ),
    modelInfo: gauge("model_info", "1 when loaded.", ["model", "layout", "device", "dtype", "version"]),
    modelLoad: gauge("model_load_seconds", "Time the model took to load, the last time.", ["model"]),
    modelLoads: counter("model_loads_total", "Loads of the model, the first and those after idle times.", ["model"]),
    modelLoaded: gauge("model_loaded", "1 while its engines run, 0 while they are closed for want of requests.", [
      "model",
    ]),
    modelFailed: gauge("model_failed", "1 when it could not be loaded or its engines crashed.", ["model"]),
    modelWeights: gauge("model_weights_bytes", "Bytes of the model's files, weights beside them included.", ["model"]),
    modelLoadedBytes: gauge(
      "model_loaded_bytes",
      "Resident memory that the last load added; absent where other loads ran at the same time.",
      ["model"],
    ),
    loopUtilization: gauge("event_loop_utilization", "Share of time the main thread was busy since the last scrape."),
    loopDelay: gauge("event_loop_delay_seconds", "Delay of the main thread's event loop since the last scrape.", [
      "quantile",
    ]),
  };
}
