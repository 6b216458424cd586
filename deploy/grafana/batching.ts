// Batching: are the engines' rows used well, and what does a step cost?
import type { DashboardSource } from "./dashboard.js";
import type { Panel } from "./panels.js";
import { counts, mean, models, quantile, rate } from "./promql.js";

const decode = `phase="decode",${models}`;
const encode = `phase="encode",${models}`;

const rows: readonly Panel[] = [
  {
    title: "Rows per step",
    description:
      "Mean over steps, against the most that a step may have (MAX_BATCH_ROWS). At the top all the time: requests wait for rows. Near 1: there is little to share.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      { expr: mean("batch_rows", models), legend: "{{model}}" },
      { expr: `max(seqserve_batch_rows_capacity{${models}})`, legend: "capacity" },
    ],
  },
  {
    title: "Steps by rows",
    description: "How many steps had so many rows. Two bands: bursts with quiet between them.",
    unit: "short",
    kind: "heatmap",
    width: 8,
    queries: [{ expr: counts("batch_rows", models), legend: "{{le}}" }],
  },
  {
    title: "Waiting in engines",
    description:
      "Sequences that an engine has and has no rows for. With Redis most of the waiting is in Redis: Queue and workers.",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [{ expr: `sum by (model) (seqserve_engine_waiting{${models}})`, legend: "{{model}}" }],
  },
  {
    title: "Engines busy",
    description:
      "Share of time that engine threads work or wait for a core. Near 100 %: more load only waits longer; more workers or engines help, if cores are free.",
    unit: "percentunit",
    kind: "lines",
    width: 8,
    max: 1,
    queries: [
      {
        expr: `sum by (model) (${rate("engine_busy_seconds_total", models)}) / (sum by (model) (seqserve_engines{${models}}) > 0)`,
        legend: "{{model}}",
      },
    ],
  },
  {
    title: "Where engine time goes",
    description:
      "Seconds per second over all engines. encode: new sources. decode: the model's steps. host: scheduling, choosing, reporting; beams and sampling raise it. give_way: rests while lightly loaded models are served.",
    unit: "percentunit",
    kind: "stacked",
    width: 8,
    queries: [{ expr: `sum by (phase) (${rate("step_duration_seconds_sum", models)})`, legend: "{{phase}}" }],
  },
  {
    title: "Tokens per busy second",
    description: "What an engine's second yields: rises with rows per step, falls with beams (several rows a token).",
    unit: "short",
    kind: "lines",
    width: 8,
    queries: [
      {
        expr: `sum by (model) (${rate("engine_tokens_total", models)}) / (sum by (model) (${rate("engine_busy_seconds_total", models)}) > 0)`,
        legend: "{{model}}",
      },
    ],
  },
];

const steps: readonly Panel[] = [
  {
    title: "Decode step",
    description: "One run of the decoder over all rows: the least that a gap between tokens can be.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [
      { expr: quantile(0.5, "step_duration_seconds", decode), legend: "{{model}} p50" },
      { expr: quantile(0.99, "step_duration_seconds", decode), legend: "{{model}} p99" },
    ],
  },
  {
    title: "Encode run",
    description:
      "New sources, encoded together. Running rows wait for it: long ones make gaps. MAX_ENCODE_TOKENS bounds it.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [
      { expr: quantile(0.5, "step_duration_seconds", encode), legend: "{{model}} p50" },
      { expr: quantile(0.99, "step_duration_seconds", encode), legend: "{{model}} p99" },
    ],
  },
  {
    title: "Host's part of a step",
    description: "Mean time that a step spends outside the model: scheduling, choosing, reporting.",
    unit: "s",
    kind: "lines",
    width: 8,
    queries: [{ expr: mean("step_duration_seconds", `phase="host",${models}`), legend: "{{model}}" }],
  },
  {
    title: "Steps per second",
    description: "Turns of all engines.",
    unit: "ops",
    kind: "lines",
    width: 6,
    queries: [{ expr: `sum by (model) (${rate("steps_total", models)})`, legend: "{{model}}" }],
  },
  {
    title: "Tokens per step",
    description: "Final tokens a step. Below rows per step: beams, or outputs not final yet.",
    unit: "short",
    kind: "lines",
    width: 6,
    queries: [
      {
        expr: `sum by (model) (${rate("engine_tokens_total", models)}) / sum by (model) (${rate("steps_total", models)})`,
        legend: "{{model}}",
      },
    ],
  },
  {
    title: "Sources per encode run",
    description: "Inputs that were encoded together.",
    unit: "short",
    kind: "lines",
    width: 6,
    queries: [
      {
        expr: `sum by (model) (${rate("encoded_sources_total", models)}) / sum by (model) (${rate("step_duration_seconds_count", encode)})`,
        legend: "{{model}}",
      },
    ],
  },
  {
    title: "Padding",
    description: "Share of encoded positions that were padding: sources of unlike length encoded together.",
    unit: "percentunit",
    kind: "lines",
    width: 6,
    max: 1,
    queries: [
      {
        expr: `sum by (model) (${rate("source_padding_tokens_total", models)}) / (sum by (model) (${rate("source_padding_tokens_total", models)}) + sum by (model) (${rate("source_tokens_total", models)}))`,
        legend: "{{model}}",
      },
    ],
  },
];

export const batching: DashboardSource = {
  name: "batching",
  title: "Batching",
  description: "Are the engines' rows used well, and what does a step cost? Told by processes that run engines.",
  rows: [
    { title: "Rows and engines", panels: rows },
    { title: "Steps", panels: steps },
  ],
};
