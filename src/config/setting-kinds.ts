// Kinds of settings: how a value of each is written, read and refused. settings.ts puts them into the table. Pure.

/** What a person wrote wrongly: a setting, a command, an option. The message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

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

const readInteger = (text: string, minimum: number, maximum: number): number => {
  const value = /^\d{1,15}$/u.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  throw new Error(`must be a whole number from ${minimum} to ${maximum} (got "${text}")`);
};

export function integer(
  name: string,
  fallback: number,
  [minimum, maximum]: [number, number],
  description: string,
): Setting<number> {
  const parse = (text: string) => readInteger(text, minimum, maximum);
  return { name, default: String(fallback), description, values: `${minimum} to ${maximum}`, parse, absent: fallback };
}

export function optionalInteger(
  name: string,
  [minimum, maximum]: [number, number],
  description: string,
): Setting<number | null> {
  const parse = (text: string) => readInteger(text, minimum, maximum);
  return { name, default: null, description, values: `${minimum} to ${maximum}`, parse, absent: null };
}

export function text(name: string, fallback: string, description: string): Setting<string> {
  return { name, default: fallback, description, values: "text", parse: (value) => value, absent: fallback };
}

export function pattern(
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

export function optionalText(name: string, description: string): Setting<string | null> {
  return { name, default: null, description, values: "text", parse: (value) => value, absent: null };
}

export function optionalPattern(
  name: string,
  [rule, values]: [RegExp, string],
  description: string,
): Setting<string | null> {
  const { parse } = pattern(name, "", [rule, values], description);
  return { name, default: null, description, values, parse, absent: null };
}

export function list(name: string, description: string): Setting<readonly string[]> {
  const parse = (value: string) =>
    Object.freeze(
      value
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== ""),
    );
  return { name, default: null, description, values: "comma-separated", parse, absent: Object.freeze([]) };
}

export function choice<const T extends string>(name: string, values: readonly T[], description: string): Setting<T> {
  const [first] = values as readonly [T, ...T[]];
  const parse = (value: string) => {
    const found = values.find((item) => item === value);
    if (found !== undefined) return found;
    throw new Error(`must be one of ${values.join(", ")} (got "${value}")`);
  };
  return { name, default: first, description, values: values.join(", "), parse, absent: first };
}

/** A whole number, or null for "auto". */
export function countOrAuto(name: string, description: string): Setting<number | null> {
  const parse = (value: string) => (value === "auto" ? null : readInteger(value, 1, 1024));
  return { name, default: "auto", description, values: "auto, or 1 to 1024", parse, absent: null };
}

/** A number from 0 to 1. */
export function share(name: string, fallback: number, description: string): Setting<number> {
  const parse = (value: string) => {
    const number = /^(?:\d+(?:\.\d*)?|\.\d+)$/u.test(value) ? Number(value) : Number.NaN;
    if (number >= 0 && number <= 1) return number;
    throw new Error(`must be a number from 0 to 1 (got "${value}")`);
  };
  return { name, default: String(fallback), description, values: "0 to 1", parse, absent: fallback };
}

/** name=value,name=value with values percent-encoded, as OpenTelemetry writes headers. Values may be secrets: errors don't repeat them. */
export function pairs(name: string, description: string): Setting<Readonly<Record<string, string>>> {
  const parse = (value: string) => Object.freeze(Object.fromEntries(value.split(",").flatMap(pair)));
  return { name, default: null, description, values: "name=value, comma-separated", parse, absent: Object.freeze({}) };
}

function pair(item: string): [string, string][] {
  if (item.trim() === "") return [];
  const [, name = "", encoded = ""] = /^\s*([\w.!#$%&'*+^`|~-]+)\s*=\s*(.*?)\s*$/u.exec(item) ?? [];
  try {
    if (name !== "") return [[name, decodeURIComponent(encoded)]];
  } catch {
    // The error below says what is wrong.
  }
  throw new Error("must be name=value, comma-separated, with values percent-encoded");
}
