// Shapes of POST /explain.
import { Type, type Static } from "typebox";
import { ParametersSchema, type Parameters } from "../../parameters.js";
import { modelName, nullable, ref } from "../http/schemas.js";

const id = Type.Integer({ minimum: 0 });

export const ExplainRequestSchema = Type.Object(
  {
    inputs: Type.String({ minLength: 1, description: "One text." }),
    model: Type.Optional(modelName),
    output: Type.Optional(
      Type.Unsafe<string | number[]>({
        type: ["string", "array", "null"],
        minLength: 1,
        minItems: 1,
        maxItems: 4096,
        items: { type: "integer", minimum: 0, maximum: 2 ** 31 - 1 },
        description:
          "The output to explain: a text, or all ids after the start token as `outputs[].ids` gives them. Absent: what the model answers.",
      }),
    ),
    occlusion: Type.Optional(
      Type.Unsafe<boolean>({ type: ["boolean", "null"], description: "Give the occlusion map; true when absent." }),
    ),
    parameters: Type.Optional(Type.Unsafe<Parameters>({ anyOf: [ref(ParametersSchema), { type: "null" }] })),
  },
  {
    $id: "ExplainRequest",
    additionalProperties: false,
    examples: [{ inputs: "hello", model: "g2p-en", parameters: { top_n_tokens: 3 } }],
  },
);
export type ExplainBody = Static<typeof ExplainRequestSchema>;

const logprob = nullable("number", "Natural logarithm under the model's own distribution; null: impossible.");

const SourceSchema = Type.Object({
  id,
  text: Type.String({ description: "The piece as the vocabulary writes it." }),
  special: Type.Boolean(),
});

const TargetSchema = Type.Object({
  id,
  text: Type.String({ description: "What it adds to the text; empty for special tokens." }),
  piece: Type.String({ description: "The token alone, special tokens by name." }),
  special: Type.Boolean(),
  given: Type.Boolean({ description: "Given by the request (output, decoder_input_ids), not chosen." }),
  logprob,
  entropy: Type.Number({ description: "Of the model's distribution at this step, in nats: 0 = certain." }),
  top: Type.Array(Type.Object({ id, text: Type.String(), logprob }), {
    description: "The most probable tokens at this step (parameters.top_n_tokens, 5 when absent).",
  }),
});

const weights = Type.Array(Type.Number());
const changes = Type.Array(nullable("number", "Null: not taken away (special tokens), or impossible without it."));

export const ExplanationSchema = Type.Object(
  {
    generated_text: Type.String(),
    source: Type.Array(SourceSchema),
    tokens: Type.Array(TargetSchema),
    score: nullable("number", "Mean log-probability of the tokens."),
    attention: Type.Unsafe<number[][] | null>({
      anyOf: [{ type: "array", items: weights }, { type: "null" }],
      description: "[token][source token]; rows sum to 1. Null: this model hands out none.",
    }),
    occlusion: Type.Unsafe<(number | null)[][] | null>({
      anyOf: [{ type: "array", items: changes }, { type: "null" }],
      description:
        "[token][source token]: by how much the token's log-probability drops when that source token is taken away. Above 0: it spoke for the token. Null when not asked for.",
    }),
    model: Type.String(),
    usage: Type.Object({
      source_tokens: Type.Integer(),
      generated_tokens: Type.Integer(),
      scored_outputs: Type.Integer({ description: "How often the output was scored." }),
    }),
  },
  { $id: "Explanation" },
);
export type Explanation = Static<typeof ExplanationSchema>;

export const explainSchemas = [ExplainRequestSchema, ExplanationSchema];
