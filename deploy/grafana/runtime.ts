// Runtime and Redis: are the processes and what they stand on well?
import type { DashboardSource } from "./dashboard.js";
import type { Panel } from "./panels.js";
import { all, models, rate } from "./promql.js";

const processes: readonly Panel[] = [
  {
    title: "Builds",
    description: "Processes by version of seqserve and Node. Two versions: a deploy is under way, or stuck.",
    unit: "short",
    kind: "stat",
    width: 6,
    queries: [{ expr: `count by (version, node) (seqserve_build_info{${all}})`, legend: "{{version}}, Node {{node}}" }],
  },
  {
    title: "Models",
    description:
      "Processes that know the model, by the device and dtype it runs in. cpu where cuda is expected: the log says why.",
    unit: "short",
    kind: "stat",
    width: 10,
    queries: [
      {
        expr: `count by (model, device, dtype) (seqserve_model_info{${models}})`,
        legend: "{{model}} {{device}} {{dtype}}",
      },
    ],
  },
  {
    title: "Youngest process",
    description: "Time since the latest start.",
    unit: "s",
    kind: "stat",
    width: 4,
    queries: [{ expr: `time() - max(process_start_time_seconds{job="seqserve",${all}})`, legend: "up for" }],
  },
  {
    title: "Slowest scrape",
    description: "Time that Prometheus waits for /metrics.",
    unit: "s",
    kind: "stat",
    width: 4,
    queries: [{ expr: `max(scrape_duration_seconds{job="seqserve",${all}})`, legend: "scrape" }],
  },
  {
    title: "Main thread busy",
    description:
      "HTTP, text and Redis share it; engines have their own. Above the line requests are late whatever the engines do: more API nodes. Waiting for a core counts as busy: where CPU is low beside it, the machine is short of cores.",
    unit: "percentunit",
    kind: "lines",
    width: 8,
    max: 1,
    limit: { at: 0.9 },
    queries: [{ expr: `seqserve_event_loop_utilization{${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "Event loop delay, slowest 1 %",
    description: "How late timers and streams are. High and not busy: the machine does not give the process its CPU.",
    unit: "s",
    kind: "lines",
    width: 8,
    limit: { at: 0.1 },
    queries: [{ expr: `seqserve_event_loop_delay_seconds{quantile="0.99",${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "CPU",
    description: "Cores that each process uses, engines included.",
    unit: "short",
    kind: "stacked",
    width: 8,
    queries: [
      { expr: `rate(process_cpu_seconds_total{job="seqserve",${all}}[$__rate_interval])`, legend: "{{instance}}" },
    ],
  },
  {
    title: "Resident memory",
    description: "Models are the most of it. Grows and never falls: report it, with the heap beside it.",
    unit: "bytes",
    kind: "lines",
    width: 8,
    queries: [{ expr: `process_resident_memory_bytes{job="seqserve",${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "JavaScript heap",
    description: "Used by the main thread.",
    unit: "bytes",
    kind: "lines",
    width: 8,
    queries: [{ expr: `nodejs_heap_size_used_bytes{job="seqserve",${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "Garbage collection",
    description: "Share of time, by kind. major above a few percent: the heap is too small.",
    unit: "percentunit",
    kind: "stacked",
    width: 8,
    queries: [
      {
        expr: `sum by (kind) (rate(nodejs_gc_duration_seconds_sum{job="seqserve",${all}}[$__rate_interval]))`,
        legend: "{{kind}}",
      },
    ],
  },
  {
    title: "Open files",
    description: "Connections are the most of it; they come down when clients leave.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `process_open_fds{job="seqserve",${all}}`, legend: "{{instance}}" }],
  },
  {
    title: "Size of models",
    description: "Bytes of their files, weights beside them included.",
    unit: "bytes",
    kind: "lines",
    width: 8,
    queries: [{ expr: `max by (model) (seqserve_model_weights_bytes{${models}})`, legend: "{{model}}" }],
  },
  {
    title: "Last load of models",
    description:
      "Time until engines ran, the slowest process. The first load of a folder compiles its graphs, later ones read them from CACHE_DIR.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [{ expr: `max by (model) (seqserve_model_load_seconds{${models}})`, legend: "{{model}}" }],
  },
];

const redis: readonly Panel[] = [
  {
    title: "Redis there",
    description: "1 while it answers this process. One process at 0: its network; all: Redis.",
    unit: "short",
    kind: "lines",
    width: 8,
    max: 1,
    queries: [{ expr: `seqserve_redis_up{${all}}`, legend: "{{role}} {{instance}}" }],
  },
  {
    title: "Redis memory",
    description:
      "Data and clients. Kept generations (GENERATION_TTL) and waiting jobs. Full, it refuses writes. A limit of 0 is none.",
    unit: "bytes",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `max(seqserve_redis_memory_bytes{${all}})`, legend: "used" },
      { expr: `max(seqserve_redis_memory_limit_bytes{${all}})`, legend: "limit" },
    ],
  },
  {
    title: "Redis commands",
    description: "Per second, of all its clients. Far more than appends and jobs explain: somebody else uses it.",
    unit: "ops",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `max(${rate("redis_commands_total", all)})`, legend: "commands" },
      { expr: `sum(${rate("log_append_seconds_count", all)})`, legend: "flushes to the token log" },
    ],
  },
  {
    title: "Redis connections",
    description: "An API node makes 3, a worker 4 and one per model.",
    unit: "short",
    kind: "lines",
    width: 12,
    queries: [{ expr: `max(seqserve_redis_clients{${all}})`, legend: "connections" }],
  },
  {
    title: "Redis keeps what it is given",
    description:
      "Both must be 0: keys dropped per minute (its policy must be noeviction), and 1 while it can't write its append-only file.",
    unit: "short",
    kind: "lines",
    width: 12,
    queries: [
      { expr: `60 * max(${rate("redis_evicted_keys_total", all)})`, legend: "keys dropped" },
      { expr: `1 - min(seqserve_redis_aof_write_ok{${all}})`, legend: "file can't be written" },
    ],
  },
];

export const runtime: DashboardSource = {
  name: "runtime",
  title: "Runtime and Redis",
  description: "Are the processes, and the Redis they stand on, well?",
  rows: [
    { title: "Processes", panels: processes },
    { title: "Redis", panels: redis },
  ],
};
