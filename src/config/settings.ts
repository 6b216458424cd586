// Every setting of the server in one table: name, default and meaning. Makes --help and docs/settings.md too.
// Pure: config.ts reads the environment and the flags.

import {
  choice,
  countOrAuto,
  integer,
  list,
  optionalInteger,
  optionalPattern,
  optionalText,
  pairs,
  pattern,
  share,
  text,
  type Setting,
} from "./setting-kinds.js";

export type { Setting } from "./setting-kinds.js";

const day = 86_400_000;
const device = [/^(auto|cpu|cuda(:\d{1,2})?)$/u, "auto, cpu, cuda or cuda:<number>"] as [RegExp, string];
const suffix = [/^[a-z0-9_]{1,32}$/u, "auto, fp32, fp16, int8 or a file suffix such as q4f16"] as [RegExp, string];

/** The table. Keys are the fields of Config. */
export const settings = {
  host: text("HOST", "127.0.0.1", "Address to listen on; 0.0.0.0 for all"),
  port: integer("PORT", 8080, [0, 65_535], "Port to listen on; 0 = any free one"),
  modelsDir: text("MODELS_DIR", "./models", "Folder that holds one folder per model"),
  models: list(
    "MODEL",
    "Serve only these models; the first is the default. One of the Hub, owner/name, is pulled first if it is not there",
  ),
  device: pattern(
    "DEVICE",
    "auto",
    device,
    "Where models run; cuda stops the start with what is missing, auto then takes the CPU and says so (docs/cuda.md)",
  ),
  dtype: pattern(
    "DTYPE",
    "auto",
    suffix,
    "Which files of a model to load; auto = what its manifest prefers, else the exact ones, on CUDA half precision",
  ),
  engines: countOrAuto("ENGINES", "Engine threads per model"),
  threads: countOrAuto(
    "THREADS",
    "ONNX Runtime threads per engine; auto = the CPUs this process may use, shared out over the engines",
  ),
  maxBatchRows: integer("MAX_BATCH_ROWS", 32, [1, 1024], "Rows decoded together in one step"),
  maxEncodeTokens: integer("MAX_ENCODE_TOKENS", 2048, [1, 1_000_000], "Padded source tokens encoded per step"),
  maxQueuedRequests: integer(
    "MAX_QUEUED_REQUESTS",
    256,
    [1, 1_000_000],
    "Requests that may wait for one model; more get 429",
  ),
  maxQueuedTokens: integer(
    "MAX_QUEUED_TOKENS",
    65_536,
    [1, 1_000_000_000],
    "Source tokens that may wait for one model; more get 429",
  ),
  maxInputTokens: optionalInteger(
    "MAX_INPUT_TOKENS",
    [1, 1_000_000],
    "Source tokens of one input; unset = what the model takes",
  ),
  maxNewTokens: integer("MAX_NEW_TOKENS", 512, [1, 65_536], "Tokens one output may have"),
  maxBeams: integer("MAX_BEAMS", 16, [1, 64], "Beams, and outputs, of one request"),
  maxInputs: integer("MAX_INPUTS", 32, [1, 256], "Texts in one request"),
  bodyLimit: integer("BODY_LIMIT", 262_144, [1024, 67_108_864], "Bytes of a request body"),
  defaultTimeoutMs: optionalInteger(
    "DEFAULT_TIMEOUT_MS",
    [1, day],
    "Deadline of requests that set no timeout_ms, in milliseconds",
  ),
  idleUnloadMs: integer(
    "IDLE_UNLOAD_MS",
    0,
    [0, day],
    "A model's engines close after so many milliseconds without a request; the next one waits until they are loaded again; 0 = never",
  ),
  loadTimeoutMs: integer(
    "LOAD_TIMEOUT_MS",
    600_000,
    [1000, day],
    "A model that takes longer to load has failed, in milliseconds",
  ),
  corsOrigin: list("CORS_ORIGIN", "Origins whose pages may call the server; * for all"),
  metricsPort: optionalInteger("METRICS_PORT", [1, 65_535], "Serve /metrics on a port of its own instead of PORT"),
  drainTimeoutMs: integer(
    "DRAIN_TIMEOUT_MS",
    30_000,
    [0, 3_600_000],
    "How long running requests may take to finish at shutdown",
  ),
  logLevel: choice(
    "LOG_LEVEL",
    ["info", "debug", "trace", "warn", "error", "fatal", "silent"],
    "Least severe log lines shown",
  ),
  logFormat: choice("LOG_FORMAT", ["auto", "json", "text"], "Form of log lines; auto = text on a terminal, else json"),
  apiKeys: list("API_KEYS", "Keys of which one must come as `Authorization: Bearer …`; unset = open"),
  role: choice(
    "ROLE",
    ["all", "api", "worker"],
    "What this process does: answer requests, run models, or both; api and worker need REDIS_URL",
  ),
  redisUrl: optionalPattern(
    "REDIS_URL",
    [/^rediss?:\/\/\S+$/u, "redis://… or rediss://…"],
    "Redis that API nodes and workers share; unset = everything in this process",
  ),
  redisPrefix: pattern(
    "REDIS_PREFIX",
    "seqserve",
    [/^[a-z0-9_-]{1,32}$/u, "1 to 32 of a-z, 0-9, _ and -"],
    "Begins the name of every key in Redis",
  ),
  generationTtlSeconds: integer(
    "GENERATION_TTL",
    600,
    [1, 604_800],
    "How long an ended generation can be looked up and its events read again, in seconds",
  ),
  maxGenerationsPerKey: optionalInteger(
    "MAX_GENERATIONS_PER_KEY",
    [1, 1_000_000],
    "Generations one API key (without keys: all callers together) may have open at a time on this node; more get 429",
  ),
  webhookSecret: optionalText("WEBHOOK_SECRET", "Signs webhook calls; webhook_url is refused without it"),
  webhookPrivate: choice(
    "WEBHOOK_PRIVATE",
    ["refuse", "allow"],
    "Whether webhook_url may lead to private and loopback addresses",
  ),
  languageDetector: optionalPattern(
    "LANGUAGE_DETECTOR",
    [/^eld$/u, "eld"],
    "Detects languages for /detect and for source auto of /translate; unset = both are a 501",
  ),
  otlpEndpoint: optionalPattern(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    [/^https?:\/\/[^\s/]\S*$/u, "http://… or https://…"],
    "OpenTelemetry collector that traces go to, at /v1/traces below it; unset = no traces",
  ),
  otlpProtocol: choice(
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    ["http/protobuf"],
    "How traces are sent; a collector's usual port for it is 4318",
  ),
  otlpHeaders: pairs("OTEL_EXPORTER_OTLP_HEADERS", "Headers of what is sent there, such as a key"),
  otelServiceName: text("OTEL_SERVICE_NAME", "seqserve", "Name of this server in traces"),
  otelTracesSamplerArg: share(
    "OTEL_TRACES_SAMPLER_ARG",
    1,
    "Share of the traces that begin here which is recorded; a caller's own decision in traceparent counts",
  ),
  hfEndpoint: pattern(
    "HF_ENDPOINT",
    "https://huggingface.co",
    [/^https?:\/\/[^\s/][^\s]*$/u, "http://… or https://…"],
    "Hub that models are pulled from",
  ),
  hfToken: optionalPattern(
    "HF_TOKEN",
    [/^hf_\S+$/u, "an access token that begins with hf_"],
    "Access token for private and gated models of the Hub",
  ),
  cacheDir: text(
    "CACHE_DIR",
    "auto",
    "Folder for compiled graphs; auto = the user's cache folder, none = don't keep any",
  ),
} satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof settings;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** All settings, read and checked. */
export type Config = { readonly [K in SettingKey]: ValueOf<(typeof settings)[K]> };

export const settingNames: readonly string[] = Object.values(settings).map((setting) => setting.name);

/** MAX_BATCH_ROWS → --max-batch-rows */
export function flagOf(name: string): string {
  return `--${name.toLowerCase().replaceAll("_", "-")}`;
}

/** The text of --help; `commands` are a row each. */
export function helpText(version: string, commands: readonly string[] = []): string {
  const rows = Object.values<Setting<unknown>>(settings).map((setting) => {
    const usual = setting.default === null ? "" : ` [${setting.default}]`;
    return `  ${flagOf(setting.name).padEnd(24)} ${setting.description}${usual}`;
  });
  return [
    `seqserve ${version}: the server for exported encoder-decoder ONNX models`,
    "",
    "Usage: seqserve [command] [--setting value …]",
    "",
    ...commands,
    "",
    "`seqserve <command> --help` says more of one. Without a command it serves.",
    "Each setting is also an environment variable: --max-beams is MAX_BEAMS. Flags win.",
    "",
    ...rows,
    `  ${"--help, --version".padEnd(24)} Say this, or the version`,
    "",
  ].join("\n");
}

/** docs/settings.md */
export function settingsPage(): string {
  const rows = Object.values<Setting<unknown>>(settings).map(({ name, default: usual, values, description }) => {
    const shown = usual === null ? "" : `\`${usual}\``;
    return `| \`${name}\` | \`${flagOf(name)}\` | ${shown} | ${values} | ${description} |`;
  });
  return [
    "# Settings",
    "",
    "Made from `src/config/settings.ts` by `npm run openapi`; edit there. Environment variables and flags are the same settings; flags win.",
    "An empty variable counts as not set. A wrong value, an unknown flag or a misspelt variable stops the start with one line that names it.",
    "",
    "| variable | flag | default | values | meaning |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
