// What follows "seqserve": a command, what it works on, its own options, and settings. Pure: config.ts reads the settings, commands/ run it.
//
//   seqserve generate "some text" --json --max-beams 4   →   generate | ["some text"] | {--json} | ["--max-beams", "4"]
import { nearest, suggestion } from "../nearest.js";
import { flagOf, settingNames } from "./settings.js";
import { ConfigError } from "./setting-kinds.js";

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
  const { name, rest } = isNamed ? named(first, args.slice(1)) : { name: "serve" as const, rest: args };
  const end = rest.indexOf("--");
  const [marked, unmarked] = end < 0 ? [rest, []] : [rest.slice(0, end), rest.slice(end + 1)];
  const base = { name, operand: null, options: new Map<string, string>(), settings: [], isNamed };
  if (first === "help" || marked.includes("--help") || marked.includes("-h")) return { ...base, asks: "help" };
  if (marked.includes("--version")) return { ...base, asks: "version" };
  if (name === "serve") return { ...base, settings: rest, asks: "run" };
  const { operands, options, settings } = sorted(name, marked);
  return { ...base, options, settings, operand: oneOperand(name, [...operands, ...unmarked]), asks: "run" };
}

/** The text of `seqserve <command> --help`. */
export function commandHelp(name: CommandName): string {
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

/** The rows of `seqserve --help`. */
export function commandRows(): string[] {
  return commandNames.map((name) => `  ${name.padEnd(24)} ${commands[name].summary}`);
}

function named(word: string, rest: readonly string[]): { name: CommandName; rest: readonly string[] } {
  if (isCommand(word)) return { name: word, rest };
  // "help" alone is the help of all, "help pull" that of one.
  if (word === "help") return { name: isCommand(rest[0]) ? rest[0] : "serve", rest: [] };
  const int8 = "not a command: DTYPE=int8 makes an int8 model at load (docs/command.md)";
  if (nearest(word, ["quantize"]) === "quantize") throw new ConfigError(`${word}: ${int8}`);
  throw new ConfigError(`${word}: unknown command${suggestion(word, commandNames) || `: ${commandNames.join(", ")}`}`);
}

function isCommand(word: string | undefined): word is CommandName {
  return word !== undefined && Object.hasOwn(commands, word);
}

function sorted(name: CommandName, args: readonly string[]) {
  const operands: string[] = [];
  const options = new Map<string, string>();
  const settings: string[] = [];
  const known = settingNames.map(flagOf);
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? "";
    const [flag = "", inline] = splitFlag(argument);
    const option = commands[name].options[flag];
    if (!argument.startsWith("--")) operands.push(argument);
    else if (option !== undefined)
      options.set(flag, option.value === null ? without(flag, inline) : needed(flag, inline ?? args[++i]));
    else if (known.includes(flag)) settings.push(flag, needed(flag, inline ?? args[++i]));
    else
      throw new ConfigError(
        `${flag}: unknown option${suggestion(flag, [...Object.keys(commands[name].options), ...known, "--help"])}`,
      );
  }
  return { operands, options, settings };
}

function needed(flag: string, value: string | undefined): string {
  if (value === undefined || value.startsWith("--")) throw new ConfigError(`${flag}: needs a value`);
  return value;
}

function without(flag: string, value: string | undefined): string {
  if (value !== undefined) throw new ConfigError(`${flag}: takes no value`);
  return "";
}

/** --flag=value → both */
export function splitFlag(argument: string): [string, string?] {
  const equals = argument.indexOf("=");
  return equals < 0 ? [argument] : [argument.slice(0, equals), argument.slice(equals + 1)];
}

function oneOperand(name: CommandName, operands: readonly string[]): string | null {
  const { operand } = commands[name];
  const [first, second] = operands;
  if (second !== undefined) {
    const shown = second.length > 40 ? `${second.slice(0, 40)}…` : second;
    throw new ConfigError(`${JSON.stringify(shown)}: one ${operand?.name} only (put a text with spaces into quotes)`);
  }
  if (first === undefined && operand?.isNeeded === true) throw new ConfigError(`${name}: needs ${operand.name}`);
  return first ?? null;
}
