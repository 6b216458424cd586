// Every setting of the server in one table: name, default, meaning, and how its text becomes a value. Makes --help and docs/settings.md too.
// Pure: config.ts reads the environment and the flags.

export interface Setting<T> {
  /** Environment variable; the flag is the same in lower case with dashes. */
  readonly name: string;
  /** As one would write it; null = not set. */
  readonly default: string | null;
  readonly description: string;
  /** What values look like, for people. */
  readonly values: string;
  /** Throws an Error that completes "NAME: …". Not called for a setting without value and default. */
  parse(text: string): T;
  /** The value when nothing is set and there is no default. */
  readonly absent: T;
}

const day = 86_400_000;
const readInteger = (text: string, minimum: number, maximum: number): number => {
  const value = /^\d{1,15}$/u.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  throw new Error(`must be a whole number from ${minimum} to ${maximum} (got "${text}")`);
};

function integer(
  name: string,
  fallback: number,
  [minimum, maximum]: [number, number],
  description: string,
): Setting<number> {
  const parse = (text: string) => readInteger(text, minimum, maximum);
  return { name, default: String(fallback), description, values: `${minimum} to ${maximum}`, parse, absent: fallback };
}

function optionalInteger(
  name: string,
  [minimum, maximum]: [number, number],
  description: string,
): Setting<number | null> {
  const parse = (text: string) => readInteger(text, minimum, maximum);
  return { name, default: null, description, values: `${minimum} to ${maximum}`, parse, absent: null };
}

function text(name: string, fallback: string, description: string): Setting<string> {
  return { name, default: fallback, description, values: "text", parse: (value) => value, absent: fallback };
}

function pattern(
  name: string,
  fallback: string,
  [rule, values]: [RegExp, string],
  description: string,
): Setting<string> {
  const parse = (value: string) => {
    if (rule.test(value)) return value;
    throw new Error(`must be ${values} (got "${value}")`);
  };
  return { name, default: fallback, description, values, parse, absent: fallback };
}

function list(name: string, description: string): Setting<readonly string[]> {
  const parse = (value: string) =>
    Object.freeze(
      value
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== ""),
    );
  return { name, default: null, description, values: "comma-separated", parse, absent: Object.freeze([]) };
}

function choice<const T extends string>(name: string, values: readonly T[], description: string): Setting<T> {
  const [first] = values as readonly [T, ...T[]];
  const parse = (value: string) => {
    const found = values.find((item) => item === value);
    if (found !== undefined) return found;
    throw new Error(`must be one of ${values.join(", ")} (got "${value}")`);
  };
  return { name, default: first, description, values: values.join(", "), parse, absent: first };
}

/** A whole number, or null for "auto". */
function countOrAuto(name: string, description: string): Setting<number | null> {
  const parse = (value: string) => (value === "auto" ? null : readInteger(value, 1, 1024));
  return { name, default: "auto", description, values: "auto, or 1 to 1024", parse, absent: null };
}

const device = [/^(auto|cpu|cuda(:\d{1,2})?)$/u, "auto, cpu, cuda or cuda:<number>"] as [RegExp, string];
const suffix = [/^[a-z0-9_]{1,32}$/u, "auto, fp32, fp16, int8 or a file suffix such as q4f16"] as [RegExp, string];

/** The table. Keys are the fields of Config. */
export const settings = {
  host: text("HOST", "127.0.0.1", "Address to listen on; 0.0.0.0 for all"),
  port: integer("PORT", 8080, [0, 65_535], "Port to listen on; 0 = any free one"),
  modelsDir: text("MODELS_DIR", "./models", "Folder that holds one folder per model"),
  models: list("MODEL", "Serve only these models; the first is the default"),
  device: pattern("DEVICE", "auto", device, "Where models run; auto = CUDA when it is there"),
  dtype: pattern(
    "DTYPE",
    "auto",
    suffix,
    "Which files of a model to load; auto = what its manifest prefers, else the exact ones",
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

/** The text of --help. */
export function helpText(version: string): string {
  const rows = Object.values<Setting<unknown>>(settings).map((setting) => {
    const usual = setting.default === null ? "" : ` [${setting.default}]`;
    return `  ${flagOf(setting.name).padEnd(24)} ${setting.description}${usual}`;
  });
  return [
    `seqserve ${version}: the server for exported encoder-decoder ONNX models`,
    "",
    "Usage: seqserve [--setting value …]",
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
    "Made from `src/settings.ts` by `npm run openapi`; edit there. Environment variables and flags are the same settings; flags win.",
    "An empty variable counts as not set. A wrong value, an unknown flag or a misspelt variable stops the start with one line that names it.",
    "",
    "| variable | flag | default | values | meaning |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
