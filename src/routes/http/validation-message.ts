// What Ajv found, in the words of the request: the field as the client wrote it, the rule, and what came instead.
import type { FastifySchemaValidationError } from "fastify";
import { AppError } from "../../errors.js";
import { suggestion } from "../../nearest.js";
import { refusalReason } from "../../parameters.js";

/** How bodies are checked: as they were sent, nothing coerced, dropped or filled in; errors with what the messages below need. */
export const ajvOptions = {
  coerceTypes: false,
  removeAdditional: false,
  useDefaults: false,
  allowUnionTypes: true,
  verbose: true,
} as const;

/** Ajv's error with `verbose` on. */
interface VerboseError extends FastifySchemaValidationError {
  readonly data?: unknown;
  readonly parentSchema?: {
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly type?: string | readonly string[];
  };
}

/** `part` is what was checked: "body", "params". */
export function validationError(errors: readonly FastifySchemaValidationError[], part: string): AppError {
  const [first] = errors as readonly VerboseError[];
  if (first === undefined) return new AppError("validation", "is not valid", { field: part });
  const path = fieldPath(first);
  const field = path === "" ? part : (headerNames.get(path) ?? path);
  return new AppError("validation", describeProblem(first, field), { field });
}

// "/parameters/stop/1" → parameters.stop[1]
function fieldPath({ instancePath, keyword, params }: VerboseError): string {
  const inner = instancePath.split("/").slice(1).map(unescaped);
  const path = inner.reduce((outer, name) => {
    if (/^\d+$/u.test(name)) return `${outer}[${name}]`;
    return joinPath(outer, name);
  }, "");
  if (keyword === "additionalProperties") return joinPath(path, shorten(params["additionalProperty"]));
  if (keyword === "required") return joinPath(path, shorten(params["missingProperty"]));
  return path;
}

function joinPath(outer: string, name: string): string {
  const shown = name === "" ? '""' : name;
  return outer === "" ? shown : `${outer}.${shown}`;
}

function describeProblem(error: VerboseError, field: string): string {
  const refusal = refusalReason(error.instancePath.replace(/^\/(?:parameters\/)?/u, ""));
  if (refusal !== null) return refusal;
  const described = describeRule(error, field);
  const hint = hints.get(field);
  return hint === undefined ? described : `${described}; ${hint}`;
}

const hints: ReadonlyMap<string, string> = new Map([["parameters.temperature", "for greedy decoding leave it out"]]);

// Ajv is shown them in small letters.
const headerNames: ReadonlyMap<string, string> = new Map([["last-event-id", "Last-Event-ID"]]);

// What a `pattern` wants, by field.
const forms: ReadonlyMap<string, string> = new Map([
  ["limit", "a whole number from 1 to 100"],
  ["before", "`next` of the page before"],
  ["last_event_id", "the number of an event"],
  ["Last-Event-ID", "the number of an event"],
]);

const ruleTexts: Readonly<Record<string, (error: VerboseError) => string>> = {
  additionalProperties: ({ params, parentSchema }) =>
    `unknown field${suggestion(String(params["additionalProperty"]), Object.keys(parentSchema?.properties ?? {}))}`,
  required: () => "is required",
  type: (error) => `must be ${typeNames(error)}${gotSuffix(error)}`,
  enum: (error) => `must be one of ${allowedValues(error.params["allowedValues"])}${gotSuffix(error)}`,
  minimum: boundText,
  maximum: boundText,
  exclusiveMinimum: boundText,
  exclusiveMaximum: boundText,
  minLength: () => "must not be empty",
  maxLength: ({ params }) => `must have at most ${String(params["limit"])} characters`,
  minItems: ({ params }) => `must have at least ${String(params["limit"])} item${params["limit"] === 1 ? "" : "s"}`,
  maxItems: ({ params }) => `must have at most ${String(params["limit"])} items`,
};

function describeRule(error: VerboseError, field: string): string {
  const form = error.keyword === "pattern" ? forms.get(field) : undefined;
  if (form !== undefined) return `must be ${form}`;
  return ruleTexts[error.keyword]?.(error) ?? error.message ?? "is not valid";
}

function boundText(error: VerboseError): string {
  return `must be ${String(error.params["comparison"])} ${String(error.params["limit"])}${gotSuffix(error)}`;
}

const typeWords: Readonly<Record<string, string>> = {
  integer: "a whole number",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  array: "an array",
  object: "an object",
};

function typeNames({ params }: VerboseError): string {
  const type: unknown = params["type"];
  const types = Array.isArray(type) ? type.map(String) : String(type).split(",");
  const named = types.filter((name) => name !== "null").map((name) => typeWords[name] ?? name);
  return named.join(" or ");
}

function allowedValues(values: unknown): string {
  const shown = Array.isArray(values) ? values.filter((value) => value !== null) : [];
  return shown.map((value) => JSON.stringify(value)).join(", ");
}

// Only numbers, booleans and kinds are repeated: text may be a user's.
function gotSuffix({ data }: VerboseError): string {
  if (typeof data === "number" || typeof data === "boolean") return ` (got ${String(data)})`;
  if (data === null) return " (got null)";
  if (data === undefined) return "";
  return ` (got ${Array.isArray(data) ? "an array" : typeof data === "object" ? "an object" : "a string"})`;
}

function shorten(name: unknown): string {
  const text = String(name);
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

function unescaped(segment: string): string {
  return shorten(segment.replaceAll("~1", "/").replaceAll("~0", "~"));
}
