// Holds the fields of config.json, generation_config.json and the manifest's parameters that we read against the types they must have.
import { readFile } from "node:fs/promises";
import { Value } from "typebox/value";
import { suggestion } from "../../nearest.js";
import { ParametersSchema, refusalReason } from "../../parameters.js";
type Json = Readonly<Record<string, unknown>>;

const idFields = ["decoder_start_token_id", "bos_token_id", "pad_token_id"];
const sizeFields = ["vocab_size", "max_position_embeddings", "n_positions", "relative_attention_max_distance"];
const parameters = new Map(Object.entries(ParametersSchema.properties));

/** Keywords that say "another type"; bounds are ours, and what a model's files say is cut to them. */
const typeKeywords = new Set(["type", "enum"]);

/** The object in a JSON file; {} where there is none. Throws one line that names the file. */
export async function readJsonObject(path: string): Promise<Json> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw new Error(`${path}: ${error.message}`, { cause: error });
  });
  const value = parseJson(path, text);
  if (isObject(value)) return value;
  throw new Error(`${path}: expected an object, found ${kindOf(value)}`);
}

/** config.json and generation_config.json. Throws one line that names file and field. */
export function checkConfig(path: string, config: Json): void {
  expect(path, config, idFields, "an id", isId);
  expect(path, config, ["eos_token_id"], "an id or a list of ids", (value) => [value].flat().every(isId));
  expect(path, config, sizeFields, "a number above 0", (value) => isId(value) && value > 0);
  for (const [name, value] of Object.entries(config)) {
    const fault = refusalReason(name) !== null ? null : schemaFault(name, value, typeKeywords);
    if (fault !== null) refuseField(path, name, fault, value);
  }
}

/** task_specific_params of config.json: an object of objects of generation fields. */
export function checkTasks(path: string, { task_specific_params: tasks }: Json): void {
  if (isAbsent(tasks)) return;
  if (!isObject(tasks)) return refuseField(path, "task_specific_params", "an object", tasks);
  for (const [name, fields] of Object.entries(tasks)) {
    const field = `task_specific_params.${name}`;
    if (!isObject(fields)) return refuseField(path, field, "an object", fields);
    expect(
      path,
      { [`${field}.prefix`]: fields["prefix"] },
      [`${field}.prefix`],
      "a text",
      (value) => typeof value === "string",
    );
    checkConfig(`${path}: ${field}`, fields);
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function expect(
  path: string,
  config: Json,
  fields: readonly string[],
  expected: string,
  isRight: (value: unknown) => boolean,
): void {
  const field = fields.find((name) => !isAbsent(config[name]) && !isRight(config[name]));
  if (field !== undefined) refuseField(path, field, expected, config[field]);
}

/** The manifest's own defaults: as strict as a request's. */
export function checkParameters(path: string, asked: Json): void {
  for (const [name, value] of Object.entries(asked)) {
    if (!parameters.has(name))
      throw new Error(`${path}: parameters.${name}: unknown${suggestion(name, [...parameters.keys()])}`);
    if (notDefaults.has(name)) throw new Error(`${path}: parameters.${name}: only a request can set it`);
    const fault = schemaFault(name, value, null);
    if (fault !== null) refuseField(path, `parameters.${name}`, fault, value);
  }
}

function schemaFault(name: string, value: unknown, keywords: ReadonlySet<string> | null): string | null {
  const schema = parameters.get(name);
  if (schema === undefined || isAbsent(value)) return null;
  const error = Value.Errors(schema, value).find(({ keyword }) => keywords === null || keywords.has(keyword));
  return error === undefined ? null : `one that ${error.message}`;
}

function refuseField(path: string, field: string, expected: string, found: unknown): never {
  throw new Error(`${path}: ${field}: expected ${expected}, found ${describeValue(found)}`);
}

function describeValue(value: unknown): string {
  return typeof value === "object" && value !== null ? kindOf(value) : JSON.stringify(value).slice(0, 80);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  return value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Fields that mean nothing without a request, or whose defaults are ours. */
export const notDefaults: ReadonlySet<string> = new Set([
  "seed",
  "stop",
  "details",
  "decoder_input_ids",
  "best_of",
  "task",
  "split",
]);
