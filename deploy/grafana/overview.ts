// Overview: are users served, and fast? Objectives, then rate, errors and durations.
import type { DashboardSource } from "./dashboard.js";
import type { Panel } from "./panels.js";
import { all, counts, models, quantile, rate } from "./promql.js";

const ttft = "time_to_first_token_seconds";

const now: readonly Panel[] = [
  {
    title: "Processes up",
    description: "Of those that Prometheus finds. 0, or fewer than yesterday: see docs/runbook.md, SeqserveDown.",
    unit: "short",
    kind: "stat",
    width: 3,
    limit: { at: 1, isFloor: true },
    queries: [{ expr: `sum(up{job="seqserve",${all}})`, legend: "up" }],
  },
  {
    title: "Alerts firing",
    description: "Each has an entry in docs/runbook.md.",
    unit: "short",
    kind: "stat",
    width: 3,
    limit: { at: 1 },
    queries: [{ expr: 'count(ALERTS{alertstate="firing",alertname=~"Seqserve.*"}) or vector(0)', legend: "firing" }],
  },
  {
    title: "First tokens in time",
    description:
      "Share within 0.64 s over 5 minutes, per model. The objective is 95 %. Models without requests have no value.",
    unit: "percentunit",
    kind: "stat",
    width: 6,
    decimals: 1,
    limit: { at: 0.95, isFloor: true },
    queries: [{ expr: '1 - model:seqserve_first_token_slow:ratio_rate5m{model=~"$model"}', legend: "{{model}}" }],
  },
  {
    title: "Allowance used, in this time range",
    description: "5 % of first tokens may be late. 100 %: all of that is used up; less is good.",
    unit: "percentunit",
    kind: "stat",
    width: 6,
    decimals: 0,
    limit: { at: 1 },
    queries: [
      {
        expr: `(1 - sum by (model) (increase(seqserve_${ttft}_bucket{le="0.64",${models}}[$__range])) / sum by (model) (increase(seqserve_${ttft}_count{${models}}[$__range]))) / 0.05`,
        legend: "{{model}}",
      },
    ],
  },
  {
    title: "Generations now",
    description: "Between start and end, waiting ones included.",
    unit: "short",
    kind: "stat",
    width: 3,
    queries: [{ expr: `sum(seqserve_requests_running{${models}})`, legend: "running" }],
  },
  {
    title: "Streams open",
    description: "Event streams that clients read now.",
    unit: "short",
    kind: "stat",
    width: 3,
    queries: [{ expr: `sum(seqserve_http_streams_open{${all}})`, legend: "open" }],
  },
];

const durations: readonly Panel[] = [
  {
    title: "Time to first token",
    description:
      "Arrival to first token. Above the line (0.64 s) it misses the objective. Compare with queue time: what is left is the model.",
    unit: "s",
    kind: "lines",
    width: 8,
    limit: { at: 0.64 },
    queries: [
      { expr: quantile(0.5, ttft, models), legend: "{{model}} p50" },
      { expr: quantile(0.95, ttft, models), legend: "{{model}} p95" },
    ],
  },
  {
    title: "Gap between tokens",
    description:
      "What a reader of a stream feels. Grows with rows per step; lumps of several tokens count as gaps of nearly 0.",
    unit: "s",
    kind: "lines",
    width: 8,
    limit: { at: 0.25 },
    queries: [
      { expr: quantile(0.5, "inter_token_latency_seconds", models), legend: "{{model}} p50" },
      { expr: quantile(0.99, "inter_token_latency_seconds", models), legend: "{{model}} p99" },
    ],
  },
  {
    title: "Queue time",
    description:
      "Before the first step; time in Redis included. Grows while gaps stay flat: capacity. The line is the alert's.",
    unit: "s",
    kind: "lines",
    width: 8,
    limit: { at: 1 },
    queries: [
      { expr: quantile(0.5, "queue_time_seconds", models), legend: "{{model}} p50" },
      { expr: quantile(0.95, "queue_time_seconds", models), legend: "{{model}} p95" },
    ],
  },
  {
    title: "First tokens by time taken",
    description: "How many fell into each bucket: two bands are two kinds of requests, a cloud that climbs is a queue.",
    unit: "s",
    kind: "heatmap",
    width: 8,
    queries: [{ expr: counts(ttft, models), legend: "{{le}}" }],
  },
  {
    title: "Whole generations",
    description: "Arrival to the last token.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [
      { expr: quantile(0.5, "request_duration_seconds", models), legend: "{{model}} p50" },
      { expr: quantile(0.95, "request_duration_seconds", models), legend: "{{model}} p95" },
    ],
  },
  {
    title: "Tokens per generation",
    description:
      "Median lengths of sources and outputs, within the bounds of buckets (powers of two): longer ones explain longer times.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      { expr: quantile(0.5, "request_source_tokens", models), legend: "{{model}} source" },
      { expr: quantile(0.5, "request_generated_tokens", models), legend: "{{model}} output" },
    ],
  },
];

const rates: readonly Panel[] = [
  {
    title: "Generations by outcome",
    description:
      "Ended per second. timeout: its deadline passed. cancelled: the client left or asked for it. rejected: 429 or 503.",
    unit: "reqps",
    kind: "stacked",
    width: 8,
    queries: [{ expr: `sum by (outcome) (${rate("requests_total", models)})`, legend: "{{outcome}}" }],
  },
  {
    title: "Share that fails",
    description: "error is the server's fault (alert at 1 %); rejected and timeout are mostly overload.",
    unit: "percentunit",
    kind: "lines",
    width: 8,
    queries: [
      {
        expr: `sum by (outcome) (${rate("requests_total", `outcome=~"error|timeout|rejected",${models}`)}) / ignoring (outcome) group_left sum(${rate("requests_total", models)})`,
        legend: "{{outcome}}",
      },
    ],
  },
  {
    title: "Refused by bound",
    description:
      "429 per second, by the bound of the queue that was met: requests (MAX_QUEUED_REQUESTS) or tokens (MAX_QUEUED_TOKENS).",
    unit: "reqps",
    kind: "lines",
    width: 8,
    queries: [{ expr: `sum by (reason) (${rate("rejected_total", all)})`, legend: "{{reason}}" }],
  },
  {
    title: "Tokens per second",
    description: "Output tokens that became final in engines.",
    unit: "short",
    kind: "stacked",
    width: 8,
    queries: [{ expr: `sum by (model) (${rate("engine_tokens_total", models)})`, legend: "{{model}}" }],
  },
  {
    title: "HTTP answers",
    description: "Per second and status class, probes and scrapes left out. An event stream counts when it ends.",
    unit: "reqps",
    kind: "stacked",
    width: 8,
    queries: [
      {
        expr: `sum by (status_class) (${rate("http_request_duration_seconds_count", `route!~"/health.*|/metrics|/v2/health.*",${all}`)})`,
        legend: "{{status_class}}",
      },
    ],
  },
  {
    title: "HTTP p95 by route",
    description: "Request line to last byte; streams last as long as their text.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [
      {
        expr: quantile(
          0.95,
          "http_request_duration_seconds",
          `route!~"/health.*|/metrics|/v2/health.*",${all}`,
          "route",
        ),
        legend: "{{route}}",
      },
    ],
  },
  {
    title: "Why outputs end",
    description: "Per second. Many of length: max_new_tokens cuts texts off.",
    unit: "reqps",
    kind: "stacked",
    width: 8,
    queries: [{ expr: `sum by (reason) (${rate("finish_reasons_total", models)})`, legend: "{{reason}}" }],
  },
  {
    title: "Readers that leave and come back",
    description:
      "Clients that left before their answer was complete, and requests for the rest of a generation's events, per second.",
    unit: "reqps",
    kind: "lines",
    width: 8,
    queries: [
      { expr: `sum(${rate("client_disconnects_total", all)})`, legend: "left" },
      { expr: `sum by (result) (${rate("resume_total", all)})`, legend: "asked for the rest: {{result}}" },
    ],
  },
];

export const overview: DashboardSource = {
  name: "overview",
  title: "Overview",
  description: "Are users served, and fast? Objectives, rate, errors and durations of all processes.",
  rows: [
    { title: "Now", panels: now },
    { title: "Durations", panels: durations },
    { title: "Rate and errors", panels: rates },
  ],
};
