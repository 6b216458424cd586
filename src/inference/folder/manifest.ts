// seqserve.json: what a model folder says of itself. One TypeBox schema makes the check, the types and the JSON Schema for editors.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static } from "typebox";
import { Value } from "typebox/value";
import { suggestion } from "../../nearest.js";

const name = (description: string) => Type.String({ minLength: 1, maxLength: 512, description });
const nullable = (description: string) => Type.Optional(Type.Union([name(description), Type.Null()]));
const names = (description: string) => Type.Optional(Type.Array(name(description), { maxItems: 64 }));
const count = (description: string) => Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description }));
const symbol = (description: string) =>
  Type.Optional(
    Type.Union([Type.String({ maxLength: 512 }), Type.Integer({ minimum: 0 }), Type.Null()], { description }),
  );
const messagePattern = (role: string) =>
  Type.Optional(Type.String({ maxLength: 1024, pattern: "\\{\\}", description: `A ${role} message, its text at {}` }));
const closed = { additionalProperties: false };

const vocabulary = Type.Union([
  name("A list (one symbol a line), a JSON array or a JSON map; file.json#key for a part of one"),
  Type.Array(Type.String(), { maxItems: 1_000_000 }),
]);

const Encoder = Type.Object(
  {
    file: name("Encoder graph, relative to the folder"),
    timeFirst: Type.Optional(
      Type.Boolean({ description: "Ids are [S, B], as in PyTorch without batch_first; found out when absent" }),
    ),
    inputs: Type.Object(
      {
        ids: nullable("Token ids"),
        onehot: nullable("One-hot rows"),
        mask: nullable("1 for real tokens"),
        lengths: nullable("[B] real lengths"),
      },
      closed,
    ),
    outputs: Type.Object(
      {
        memory: nullable("[B, S, H] hidden states"),
        mask: nullable("The encoder's own mask"),
        states: names("Final states, in the decoder's order"),
      },
      closed,
    ),
  },
  closed,
);

const Decoder = Type.Object(
  {
    file: name("Decoder graph, relative to the folder"),
    timeFirst: Type.Optional(
      Type.Boolean({ description: "Ids are [T, B], as in PyTorch without batch_first; found out when absent" }),
    ),
    inputs: Type.Object(
      {
        ids: nullable("The last token"),
        onehot: nullable("The last token, one-hot"),
        targets: nullable("The whole target so far (stateless)"),
        source: nullable("The source ids again (stateless)"),
        memory: nullable("The encoder's hidden states"),
        mask: nullable("1 for real source tokens"),
        states: names("States in"),
        feed: names("Input feeding: zeros first, then outputs.feed of the step before"),
      },
      closed,
    ),
    outputs: Type.Object(
      {
        scores: name("Scores over the vocabulary"),
        scoresAre: Type.Optional(Type.Union([Type.Literal("logits"), Type.Literal("logprobs"), Type.Literal("probs")])),
        states: names("States out, paired with inputs.states by position"),
        feed: names("What inputs.feed gets in the next step"),
        attention: nullable("[B, T, S], [B, S] or [B, heads, T, S]"),
      },
      closed,
    ),
  },
  closed,
);

const Source = Type.Object(
  {
    vocab: Type.Optional(vocabulary),
    tokenizer: nullable("A tokenizer.json"),
    split: Type.Optional(
      Type.Union(["characters", "codepoints", "whitespace", "words"].map((kind) => Type.Literal(kind))),
    ),
    lowercase: Type.Optional(Type.Boolean()),
    unknown: Type.Optional(
      Type.String({ description: 'A symbol, or "reject": an unknown symbol is then a 422 that names it' }),
    ),
    appendEos: symbol("Put behind each source"),
    prependBos: symbol("Put before each source"),
    padToken: symbol("Fills short rows of a run"),
    padSide: Type.Optional(Type.Union([Type.Literal("right"), Type.Literal("left")])),
    padTo: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 100_000 }), Type.Null()])),
    reverse: Type.Optional(Type.Boolean()),
    maxLength: count("Longest source in tokens"),
  },
  closed,
);

const Target = Type.Object(
  {
    vocab: Type.Optional(vocabulary),
    tokenizer: nullable("A tokenizer.json"),
    join: Type.Optional(Type.String({ maxLength: 16 })),
    bos: symbol("The decoder's first input"),
    eos: symbol("Ends an output"),
    padToken: symbol("Never part of a text"),
    maxLength: count("Longest output in tokens"),
  },
  closed,
);

export const ManifestSchema = Type.Object(
  {
    $schema: Type.Optional(Type.String()),
    layout: Type.Optional(
      Type.Union([Type.Literal("recurrent"), Type.Literal("transformer"), Type.Literal("stateless")]),
    ),
    task: Type.Optional(Type.String({ maxLength: 64 })),
    description: Type.Optional(Type.String({ maxLength: 4096 })),
    licence: Type.Optional(Type.String({ maxLength: 256 })),
    version: Type.Optional(Type.String({ maxLength: 64 })),
    dtype: Type.Optional(
      Type.String({ maxLength: 16, description: "The file suffix to prefer: fp32, int8, quantized, …" }),
    ),
    encoder: Type.Optional(Encoder),
    decoder: Type.Optional(Decoder),
    source: Type.Optional(Source),
    target: Type.Optional(Target),
    parameters: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: "Defaults under the request's own" }),
    ),
    inputPrefix: Type.Optional(Type.String({ maxLength: 1024 })),
    languages: Type.Optional(
      Type.Object(
        { source: Type.Array(Type.String()), target: Type.Array(Type.String()), token: Type.Optional(Type.String()) },
        closed,
      ),
    ),
    chat: Type.Optional(
      Type.Object(
        {
          system: messagePattern("system"),
          user: messagePattern("user"),
          assistant: messagePattern("assistant"),
          prompt: Type.Optional(Type.String({ maxLength: 1024 })),
        },
        {
          ...closed,
          description: "How the messages of /v1/chat/completions become one source text; without it the last one is",
        },
      ),
    ),
    attention: Type.Optional(
      Type.Object(
        {
          layer: Type.Integer({ minimum: 0, description: "Decoder layer, counted from 0" }),
          heads: Type.Optional(
            Type.Array(Type.Integer({ minimum: 0 }), {
              minItems: 1,
              uniqueItems: true,
              description: "Heads, counted from 0; all when absent",
            }),
          ),
        },
        { ...closed, description: "Transformers: whose cross-attention is handed out, as the mean of these heads" },
      ),
    ),
    limits: Type.Optional(
      Type.Object(
        { maxInputTokens: count("Source tokens"), maxNewTokens: count("New tokens"), maxBeams: count("Beams") },
        closed,
      ),
    ),
  },
  { ...closed, title: "seqserve.json" },
);

/** docs/seqserve.schema.json: what editors complete and check against. */
export function manifestJsonSchema(): string {
  const head = { $schema: "http://json-schema.org/draft-07/schema#" };
  return `${JSON.stringify({ ...head, ...ManifestSchema }, null, 2)}\n`;
}

export type Manifest = Static<typeof ManifestSchema>;

export const manifestFile = "seqserve.json";
const maxManifestBytes = 1 << 20;

/** The folder's manifest, or null when it has none. Throws one line that names file and field. */
export async function readManifest(folder: string): Promise<Manifest | null> {
  const path = join(folder, manifestFile);
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  if (found.size > maxManifestBytes)
    throw new Error(`${path}: ${found.size} bytes, larger than the ${maxManifestBytes} a manifest may have`);
  return checkManifest(path, parseJson(path, await readFile(path, "utf8")));
}

/** Throws one line that names the field, what was expected and, for an unknown one, the nearest known name. */
export function checkManifest(path: string, value: unknown): Manifest {
  const errors = Value.Errors(ManifestSchema, value);
  const error = errors.find(({ keyword }) => keyword === "additionalProperties") ?? errors[0];
  if (error !== undefined) throw new Error(`${path}: ${describe(error)}`);
  return value as Manifest;
}

function describe(error: { instancePath: string; keyword: string; message: string; params: unknown }): string {
  const at = error.instancePath.slice(1).replaceAll("/", ".");
  if (error.keyword !== "additionalProperties") return `${at || "the manifest"} ${error.message}`;
  const [unknown = ""] = (error.params as { additionalProperties: string[] }).additionalProperties;
  return `unknown field "${at === "" ? "" : `${at}.`}${unknown}"${suggestion(unknown, fieldsAt(at))}`;
}

/** Names that the schema knows in the object at that dotted path. */
function fieldsAt(at: string): string[] {
  let schema: { properties?: Record<string, object> } = ManifestSchema;
  for (const field of at.split(".")) schema = field === "" ? schema : (schema.properties?.[field] ?? {});
  return Object.keys(schema.properties ?? {});
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: not JSON: ${(error as Error).message}`, { cause: error });
  }
}
