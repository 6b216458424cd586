// The only reader of process.env and of the command line: text in, one frozen Config out, or one line that says what is wrong.
import { homedir } from "node:os";
import { join } from "node:path";
import { readCommandLine, splitArguments, type CommandLine, type CommandName } from "./command-line.js";
import { editDistance, suggestion } from "../nearest.js";
import { flagOf, settingNames, settings, type Config, type Setting, type SettingKey } from "./settings.js";
import { ConfigError } from "./setting-kinds.js";

export { ConfigError } from "./setting-kinds.js";
export type { Config } from "./settings.js";

type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line asks for. */
export type Command =
  | { readonly kind: "help"; readonly of: CommandName | null }
  | { readonly kind: "version" }
  | { readonly kind: "serve"; readonly config: Config }
  | OfflineCommand;

/** Commands that serve nobody. */
export type OfflineCommand = GenerateCommand | CheckCommand | PullCommand;

export interface GenerateCommand {
  readonly kind: "generate";
  readonly config: Config;
  /** null: standard input. */
  readonly text: string | null;
  /** JSON, as written. */
  readonly parameters: string | null;
  readonly isJson: boolean;
}

export interface CheckCommand {
  readonly kind: "check";
  readonly config: Config;
  readonly folder: string;
  readonly isJson: boolean;
}

export interface PullCommand {
  readonly kind: "pull";
  readonly config: Config;
  /** owner/name */
  readonly repository: string;
  readonly revision: string;
}

/**
 * ONNX Runtime 1.30 reports its use to its makers unless ORT_DISABLE_TELEMETRY says otherwise when its library is loaded: call this first. What a
 * person has set stays.
 */
export function disableOrtTelemetry(environment: NodeJS.ProcessEnv = process.env): void {
  environment["ORT_DISABLE_TELEMETRY"] ??= "1";
}

/** Reads the command line and the environment; throws ConfigError. */
export function readCommand(
  args: readonly string[] = process.argv.slice(2),
  environment: Environment = process.env,
): Command {
  const line = readCommandLine(args);
  if (line.asks === "help") return { kind: "help", of: line.isNamed ? line.name : null };
  if (line.asks === "version") return { kind: "version" };
  return toCommand(line, readConfig(line.settings, environment));
}

function toCommand({ name, operand, options }: CommandLine, config: Config): Command {
  const isJson = options.has("--json");
  switch (name) {
    case "generate": {
      const text = operand === "-" ? null : operand;
      return { kind: name, config, text, parameters: options.get("--parameters") ?? null, isJson };
    }
    case "check":
      return { kind: name, config, folder: operand ?? "", isJson };
    case "pull":
      return { kind: name, config, repository: operand ?? "", revision: options.get("--revision") ?? "main" };
    default:
      return { kind: name, config };
  }
}

/** All settings: flags, then environment, then defaults. Throws ConfigError. */
export function readConfig(args: readonly string[], environment: Environment): Config {
  const flags = readFlags(args);
  refuseMisspeltVariables(environment);
  const entries = Object.entries<Setting<unknown>>(settings).map(([key, setting]) => {
    return [key, readSetting(setting, flags, environment)] as const;
  });
  const config = Object.fromEntries(entries) as Record<SettingKey, unknown> as Config;
  requireRedisForRole(config);
  return Object.freeze({ ...config, cacheDir: resolveCacheDir(config.cacheDir, environment) });
}

/** A config for tests and tools: defaults, nothing read from the environment. */
export function defaultConfig(overrides: Partial<Config> = {}): Config {
  return Object.freeze({ ...readConfig([], {}), ...overrides });
}

function readSetting(setting: Setting<unknown>, flags: ReadonlyMap<string, string>, environment: Environment): unknown {
  const flag = flags.get(setting.name);
  const written = flag ?? nonBlank(environment[setting.name]);
  const text = written ?? setting.default;
  if (text === null) return setting.absent;
  try {
    return setting.parse(text.trim());
  } catch (error) {
    const shown = flag === undefined ? setting.name : flagOf(setting.name);
    throw new ConfigError(`${shown}: ${error instanceof Error ? error.message : "wrong value"}`, { cause: error });
  }
}

function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const flags = new Map<string, string>();
  const names = new Map(settingNames.map((name) => [flagOf(name), name]));
  for (const { flag, value, isInline } of splitArguments(args, [...names.keys()])) {
    const name = flag === null ? undefined : names.get(flag);
    if (name === undefined)
      throw new ConfigError(unknownArgument(flag ?? value?.split("=")[0] ?? "", [...names.keys()]));
    if (value === undefined || (!isInline && value.startsWith("--"))) throw new ConfigError(`${flag}: needs a value`);
    flags.set(name, value);
  }
  return flags;
}

function unknownArgument(argument: string, flags: readonly string[]): string {
  if (!argument.startsWith("--")) return `${argument}: unexpected argument (settings are written --name value)`;
  return `${argument}: unknown setting${suggestion(argument, [...flags, "--help", "--version"])}`;
}

// The environment holds other programs' variables: only names of several words are compared, where one wrong letter or two can't be chance.
function refuseMisspeltVariables(environment: Environment): void {
  const known = settingNames.filter((name) => name.includes("_"));
  for (const name of Object.keys(environment)) {
    if (!name.includes("_") || settingNames.includes(name)) continue;
    const near = known.find((setting) => editDistance(name, setting) <= (setting.length >= 12 ? 2 : 1));
    if (near !== undefined) throw new ConfigError(`${name}: unknown setting (did you mean ${near}?)`);
  }
}

function requireRedisForRole({ role, redisUrl }: Config): void {
  if (role !== "all" && redisUrl === null) throw new ConfigError(`REDIS_URL: ROLE=${role} needs it`);
}

function resolveCacheDir(setting: string, environment: Environment): string {
  if (setting !== "auto") return setting;
  const base = nonBlank(environment["XDG_CACHE_HOME"]) ?? join(homedir(), ".cache");
  return join(base, "seqserve");
}

function nonBlank(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text;
}
