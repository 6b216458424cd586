// What follows "seqserve": a command, what it works on, its own options, and settings. Pure: config.ts reads the settings, cli/ runs it.
//
//   seqserve generate "some text" --json --max-beams 4   →   generate | ["some text"] | {--json} | ["--max-beams", "4"]
import { parseArgs } from "node:util";
import { nearest, suggestion } from "../nearest.js";
import { version } from "../version.js";
import { ConfigError } from "./setting-kinds.js";
import { flagOf, helpText, settingNames } from "./settings.js";

export type CommandName = "serve" | "generate" | "check" | "pull";

interface CommandOption {
  /** What its value is called; null: it takes none. */
  readonly value: string | null;
  readonly description: string;
}

interface CommandSpec {
  readonly usage: string;
  readonly summary: string;
  /** More for its --help, a line each. */
  readonly details: readonly string[];
  /** What it works on; null: nothing. */
  readonly operand: { readonly name: string; readonly isNeeded: boolean } | null;
  readonly options: Readonly<Record<string, CommandOption>>;
}

export const commands: Readonly<Record<CommandName, CommandSpec>> = {
  serve: {
    usage: "seqserve [serve] [--setting value …]",
    summary: "Answers POST /generate and more over HTTP, for every model in MODELS_DIR",
    details: [
      "MODEL=owner/name downloads a model that is not there yet (as `seqserve pull` does) and serves it as name.",
      "Exit codes: 0 after SIGTERM or SIGINT, 1 for a start that failed (one line says why).",
    ],
    operand: null,
    options: {},
  },
  generate: {
    usage: "seqserve generate [text] [--model name] [--json] [--parameters JSON] [--setting value …]",
    summary: "Answers one text on the terminal, with a model loaded in this process",
    details: [
      "Without text, or with -, it is read from standard input. A text that begins with -- goes behind a --.",
      "Standard output gets the text as it comes and nothing else; several outputs come at the end, one a line.",
      "Exit codes: 0 answered, 1 refused or failed (one line says why), 130 Ctrl-C, 143 SIGTERM.",
    ],
    operand: { name: "text", isNeeded: false },
    options: {
      "--json": { value: null, description: "Print the answer object of POST /generate instead" },
      "--parameters": { value: "JSON", description: "The parameters of POST /generate: '{\"num_beams\":4}'" },
    },
  },
  check: {
    usage: "seqserve check folder [--json] [--setting value …]",
    summary: "Says what a model folder is, by loading it, or what is wrong with it",
    details: [
      "The folder may lie anywhere. DTYPE and DEVICE count as for the server.",
      "Exit codes: 0 it can be served, 1 it can't (one line says why).",
    ],
    operand: { name: "folder", isNeeded: true },
    options: { "--json": { value: null, description: "Print what GET /models/{name} answers, and more" } },
  },
  pull: {
    usage: "seqserve pull owner/name [--revision branch] [--dtype type] [--setting value …]",
    summary: "Downloads an ONNX model from the Hugging Face Hub into MODELS_DIR",
    details: [
      "Only the files of one DTYPE (auto: the exact ones). An interrupted download goes on where it stopped.",
      "HF_ENDPOINT and HF_TOKEN count. Exit codes: 0 it is there, 1 it is not (one line says why).",
    ],
    operand: { name: "owner/name", isNeeded: true },
    options: { "--revision": { value: "name", description: "Branch, tag or commit [main]" } },
  },
};

const commandNames = Object.keys(commands) as CommandName[];

export interface CommandLine {
  readonly name: CommandName;
  readonly operand: string | null;
  /** Own options that were given; "" for those without a value. */
  readonly options: ReadonlyMap<string, string>;
  /** Flags of settings.ts with their values. */
  readonly settings: readonly string[];
  readonly asks: "run" | "help" | "version";
  /** Whether the command was named. */
  readonly isNamed: boolean;
}

/** Throws ConfigError for an unknown command or option. Settings are checked later. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const [first] = args;
  const isNamed = first !== undefined && !first.startsWith("-");
  const { name, rest } = isNamed ? findCommand(first, args.slice(1)) : { name: "serve" as const, rest: args };
  const end = rest.indexOf("--");
  const [beforeEnd, afterEnd] = end < 0 ? [rest, []] : [rest.slice(0, end), rest.slice(end + 1)];
  const base = { name, operand: null, options: new Map<string, string>(), settings: [], isNamed };
  if (first === "help" || beforeEnd.includes("--help") || beforeEnd.includes("-h")) return { ...base, asks: "help" };
  if (beforeEnd.includes("--version")) return { ...base, asks: "version" };
  if (name === "serve") return { ...base, settings: rest, asks: "run" };
  const { operands, options, settings } = readArguments(name, beforeEnd);
  return { ...base, options, settings, operand: onlyOperand(name, [...operands, ...afterEnd]), asks: "run" };
}

function findCommand(word: string, rest: readonly string[]): { name: CommandName; rest: readonly string[] } {
  if (isCommand(word)) return { name: word, rest };
  // "help pull" is the help of pull, "help" alone that of serve.
  if (word === "help") return { name: isCommand(rest[0]) ? rest[0] : "serve", rest: [] };
  const int8 = "not a command: DTYPE=int8 makes an int8 model at load (docs/command.md)";
  if (nearest(word, ["quantize"]) === "quantize") throw new ConfigError(`${word}: ${int8}`);
  throw new ConfigError(`${word}: unknown command${suggestion(word, commandNames) || `: ${commandNames.join(", ")}`}`);
}

function isCommand(word: string | undefined): word is CommandName {
  return word !== undefined && Object.hasOwn(commands, word);
}

function readArguments(name: CommandName, args: readonly string[]) {
  const operands: string[] = [];
  const options = new Map<string, string>();
  const settings: string[] = [];
  const settingFlags = settingNames.map(flagOf);
  const ownOptions = commands[name].options;
  const valueFlags = Object.keys(ownOptions).filter((flag) => ownOptions[flag]?.value !== null);
  for (const { flag, value } of splitArguments(args, [...settingFlags, ...valueFlags])) {
    if (flag === null) operands.push(value ?? "");
    else if (valueFlags.includes(flag)) options.set(flag, requireValue(flag, value));
    else if (Object.hasOwn(ownOptions, flag)) options.set(flag, refuseValue(flag, value));
    else if (settingFlags.includes(flag)) settings.push(flag, requireValue(flag, value));
    else {
      const near = suggestion(flag, [...Object.keys(ownOptions), ...settingFlags, "--help"]);
      throw new ConfigError(`${flag}: unknown option${near}`);
    }
  }
  return { operands, options, settings };
}

function requireValue(flag: string, value: string | undefined): string {
  if (value === undefined || value.startsWith("--")) throw new ConfigError(`${flag}: needs a value`);
  return value;
}

function refuseValue(flag: string, value: string | undefined): string {
  if (value !== undefined) throw new ConfigError(`${flag}: takes no value`);
  return "";
}

function onlyOperand(name: CommandName, operands: readonly string[]): string | null {
  const { operand } = commands[name];
  const [first, second] = operands;
  if (second !== undefined) {
    const shown = second.length > 40 ? `${second.slice(0, 40)}…` : second;
    throw new ConfigError(`${JSON.stringify(shown)}: one ${operand?.name} only (put a text with spaces into quotes)`);
  }
  if (first === undefined && operand?.isNeeded === true) throw new ConfigError(`${name}: needs ${operand.name}`);
  return first ?? null;
}

/** A flag with its value, or a word that is no flag (`flag` is null, the word is the value). */
export interface Argument {
  readonly flag: string | null;
  readonly value: string | undefined;
  /** --flag=value, in one argument. */
  readonly isInline: boolean;
}

/** Arguments in their order. Flags that are not in `valueFlags` stay in the list: the caller refuses them by name. */
export function splitArguments(args: readonly string[], valueFlags: readonly string[]): Argument[] {
  const options = Object.fromEntries(valueFlags.map((flag) => [flag.slice(2), { type: "string" as const }]));
  // There are no short options: parseArgs must not take "-5 degrees" for a group of them.
  const words = args.map((argument) => (/^-[^-]/u.test(argument) ? ` ${argument}` : argument));
  const { tokens } = parseArgs({ args: words, options, strict: false, tokens: true });
  return tokens.map((token): Argument => {
    const argument = args[token.index] ?? "";
    if (token.kind === "positional") return { flag: null, value: argument, isInline: false };
    const [flag = ""] = argument.split("=");
    if (token.kind === "option-terminator") return { flag, value: undefined, isInline: false };
    if (token.inlineValue === true) return { flag, value: token.value, isInline: true };
    return { flag, value: token.value === undefined ? undefined : args[token.index + 1], isInline: false };
  });
}

/** What `seqserve --help` prints (null), or `seqserve <command> --help`. */
export function helpPage(of: CommandName | null): string {
  return of === null ? helpText(version, commandRows()) : commandHelp(of);
}

function commandHelp(name: CommandName): string {
  const { usage, summary, details, options } = commands[name];
  const rows = Object.entries(options).map(([flag, { value, description }]) => {
    return `  ${(value === null ? flag : `${flag} ${value}`).padEnd(24)} ${description}`;
  });
  const known = "Every setting of the server is an option and an environment variable: seqserve --help lists them.";
  return [
    `Usage: ${usage}`,
    "",
    summary,
    "",
    ...details,
    "",
    ...rows,
    ...(rows.length > 0 ? [""] : []),
    known,
    "",
  ].join("\n");
}

function commandRows(): string[] {
  return commandNames.map((name) => `  ${name.padEnd(24)} ${commands[name].summary}`);
}
