// The only reader of process.env and of the command line: text in, one frozen Config out, or one line that says what is wrong.
import { homedir } from "node:os";
import { join } from "node:path";
import { editDistance, suggestion } from "./nearest.js";
import { flagOf, settingNames, settings, type Config, type Setting, type SettingKey } from "./settings.js";

export type { Config } from "./settings.js";

/** A setting is wrong; the message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What the command line asks for. */
export type Command = { readonly kind: "help" | "version" } | { readonly kind: "serve"; readonly config: Config };

/** Reads flags and environment; throws ConfigError. */
export function readCommand(
  args: readonly string[] = process.argv.slice(2),
  environment: Environment = process.env,
): Command {
  if (args.includes("--help") || args.includes("-h")) return { kind: "help" };
  if (args.includes("--version")) return { kind: "version" };
  return { kind: "serve", config: readConfig(args, environment) };
}

/** All settings: flags, then environment, then defaults. Throws ConfigError. */
export function readConfig(args: readonly string[], environment: Environment): Config {
  const flags = readFlags(args);
  refuseMisspelt(environment);
  const entries = Object.entries<Setting<unknown>>(settings).map(([key, setting]) => {
    return [key, valueOf(setting, flags, environment)] as const;
  });
  const config = Object.fromEntries(entries) as Record<SettingKey, unknown> as Config;
  requireTogether(config);
  return Object.freeze({ ...config, cacheDir: cacheFolder(config.cacheDir, environment) });
}

/** A config for tests and tools: defaults, nothing read from the environment. */
export function defaultConfig(overrides: Partial<Config> = {}): Config {
  return Object.freeze({ ...readConfig([], {}), ...overrides });
}

function valueOf(setting: Setting<unknown>, flags: ReadonlyMap<string, string>, environment: Environment): unknown {
  const flag = flags.get(setting.name);
  const written = flag ?? blankAsUndefined(environment[setting.name]);
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
  for (let i = 0; i < args.length; i++) {
    const [flag = "", inline] = splitFlag(args[i] ?? "");
    const name = names.get(flag);
    if (name === undefined) throw new ConfigError(unknownArgument(flag, [...names.keys()]));
    const value = inline ?? args[++i];
    if (value === undefined || (inline === undefined && value.startsWith("--"))) {
      throw new ConfigError(`${flag}: needs a value`);
    }
    flags.set(name, value);
  }
  return flags;
}

function splitFlag(argument: string): [string, string?] {
  const equals = argument.indexOf("=");
  return equals < 0 ? [argument] : [argument.slice(0, equals), argument.slice(equals + 1)];
}

function unknownArgument(argument: string, flags: readonly string[]): string {
  if (!argument.startsWith("--")) return `${argument}: unexpected argument (settings are written --name value)`;
  return `${argument}: unknown setting${suggestion(argument, [...flags, "--help", "--version"])}`;
}

// The environment holds other programs' variables: only names of several words are compared, where one wrong letter or two can't be chance.
function refuseMisspelt(environment: Environment): void {
  const known = settingNames.filter((name) => name.includes("_"));
  for (const name of Object.keys(environment)) {
    if (!name.includes("_") || settingNames.includes(name)) continue;
    const near = known.find((setting) => editDistance(name, setting) <= (setting.length >= 12 ? 2 : 1));
    if (near !== undefined) throw new ConfigError(`${name}: unknown setting (did you mean ${near}?)`);
  }
}

function requireTogether({ role, redisUrl }: Config): void {
  if (role !== "all" && redisUrl === null) throw new ConfigError(`REDIS_URL: ROLE=${role} needs it`);
}

function cacheFolder(setting: string, environment: Environment): string {
  if (setting !== "auto") return setting;
  const base = blankAsUndefined(environment["XDG_CACHE_HOME"]) ?? join(homedir(), ".cache");
  return join(base, "seqserve");
}

function blankAsUndefined(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text;
}
