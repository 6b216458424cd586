// Queue and workers: what waits and where, who works, and whether generations change hands.
import type { DashboardSource } from "./dashboard.js";
import type { Panel } from "./panels.js";
import { all, counts, models, quantile, rate } from "./promql.js";

const now: readonly Panel[] = [
  {
    title: "Workers",
    description:
      "That announce themselves for a model, as API nodes see it. 0: its requests wait, then are refused. Only with Redis.",
    unit: "short",
    kind: "stat",
    width: 6,
    limit: { at: 1, isFloor: true },
    queries: [{ expr: `max by (model) (seqserve_workers{${models}})`, legend: "{{model}}" }],
  },
  {
    title: "Jobs waiting",
    description: "In Redis, for any worker to take. More than 0 for long: add workers, if no rows are free.",
    unit: "short",
    kind: "stat",
    width: 6,
    queries: [{ expr: `max by (model) (seqserve_jobs{state="waiting",${models}})`, legend: "{{model}}" }],
  },
  {
    title: "Rows free",
    description: "Of all workers. Free rows and waiting jobs together: a worker has gone deaf (SeqserveStuckWorker).",
    unit: "short",
    kind: "stat",
    width: 6,
    queries: [
      {
        expr: `sum by (model) (clamp_min(seqserve_worker_rows_capacity{${models}} - seqserve_worker_rows{${models}}, 0))`,
        legend: "{{model}}",
      },
    ],
  },
  {
    title: "Processes with Redis",
    description: "Share of those that need one. Below 100 %: SeqserveRedisDown.",
    unit: "percentunit",
    kind: "stat",
    width: 6,
    decimals: 0,
    limit: { at: 1, isFloor: true },
    queries: [{ expr: `avg(seqserve_redis_up{${all}})`, legend: "connected" }],
  },
];

const waiting: readonly Panel[] = [
  {
    title: "Jobs by state",
    description:
      "In Redis. active: workers hold them. delayed: set aside for a worker of another variant. failed: given up by BullMQ.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `sum by (state) (max by (model, state) (seqserve_jobs{${models}}))`, legend: "{{state}}" }],
  },
  {
    title: "Before the first token",
    description:
      "Generations that each process has admitted and that have no token yet: what MAX_QUEUED_REQUESTS bounds, per model.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `seqserve_queued_requests{${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "Source tokens before the first token",
    description: "The same in source tokens: what MAX_QUEUED_TOKENS bounds, per model.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `seqserve_queued_tokens{${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "Queue time",
    description: "Admission to the first step, time in Redis included.",
    unit: "s",
    kind: "lines",
    width: 12,
    limit: { at: 1 },
    queries: [
      { expr: quantile(0.5, "queue_time_seconds", models), legend: "{{model}} p50" },
      { expr: quantile(0.95, "queue_time_seconds", models), legend: "{{model}} p95" },
      { expr: quantile(0.99, "queue_time_seconds", models), legend: "{{model}} p99" },
    ],
  },
  {
    title: "Generations by queue time",
    description: "How many waited so long. A band that climbs: more comes than is done.",
    unit: "s",
    kind: "heatmap",
    width: 12,
    queries: [{ expr: counts("queue_time_seconds", models), legend: "{{le}}" }],
  },
];

const workers: readonly Panel[] = [
  {
    title: "Rows held by each worker",
    description:
      "Rows of the jobs it has, over its models; it takes a sixteenth more than fit, so that rows don't wait for Redis. Unlike loads: look at the idle one.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `sum by (instance) (seqserve_worker_rows{${models}})`, legend: "{{instance}}" },
      { expr: `max(sum by (instance) (seqserve_worker_rows_capacity{${models}}))`, legend: "capacity of one" },
    ],
  },
  {
    title: "Jobs held by each worker",
    description: "Generations that it runs or is about to.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `sum by (instance) (seqserve_worker_jobs{${models}})`, legend: "{{instance}}" }],
  },
  {
    title: "Models loaded and failed",
    description:
      "Over processes that run engines. A model that failed anywhere: the log there says why. Fewer loaded: closed for want of requests (IDLE_UNLOAD_MS).",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `sum by (model) (seqserve_engines{${models}})`, legend: "{{model}} engines" },
      { expr: `sum by (model) (seqserve_model_failed{${models}})`, legend: "{{model}} failed" },
    ],
  },
  {
    title: "Generations that change hands",
    description:
      "Per minute. Handed over: drains, all is well. Lost their worker: it died or stood still. Locks lost and appends refused: it came back too late. Made anew: a worker that took no jobs.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `60 * sum(${rate("handoffs_total", models)})`, legend: "handed over" },
      { expr: `60 * sum(${rate("job_redeliveries_total", models)})`, legend: "lost their worker" },
      { expr: `60 * sum(${rate("lock_renew_failures_total", models)})`, legend: "locks lost" },
      { expr: `60 * sum(${rate("fenced_appends_total", all)})`, legend: "appends refused" },
      { expr: `60 * sum(${rate("worker_watchdog_restarts_total", models)})`, legend: "made anew" },
    ],
  },
  {
    title: "From worker to reader",
    description:
      "An append to the token log, and its way to the API node (by two machines' clocks). Tens of milliseconds: Redis or the network is slow.",
    unit: "s",
    kind: "lines",
    width: 8,
    limit: { at: 0.1 },
    queries: [
      { expr: quantile(0.5, "log_append_seconds", all, ""), legend: "append p50" },
      { expr: quantile(0.99, "log_append_seconds", all, ""), legend: "append p99" },
      { expr: quantile(0.5, "stream_lag_seconds", all, ""), legend: "to API node p50" },
      { expr: quantile(0.99, "stream_lag_seconds", all, ""), legend: "to API node p99" },
    ],
  },
  {
    title: "Webhooks",
    description: "Calls per second by result. given_up: nobody took it in all tries.",
    unit: "reqps",
    kind: "lines",
    width: 8,
    queries: [{ expr: `sum by (result) (${rate("webhook_attempts_total", all)})`, legend: "{{result}}" }],
  },
];

export const queue: DashboardSource = {
  name: "queue",
  title: "Queue and workers",
  description: "What waits and where, who works, and whether generations change hands. Most of it only with REDIS_URL.",
  rows: [
    { title: "Now", panels: now },
    { title: "Waiting", panels: waiting },
    { title: "Workers", panels: workers },
  ],
};
