// Shapes of POST /generate: what goes in, the JSON answer, and the events of a stream. Fields are TGI's where TGI has them.
import { Type, type Static } from "typebox";
import { ParametersSchema, type Parameters } from "../../parameters.js";
import { modelName, nullable, ref } from "../http/schemas.js";

/** Who goes first where generations wait. */
export const priority = Type.Optional(
  Type.Unsafe<number>({
    type: ["integer", "null"],
    minimum: 1,
    maximum: 10,
    description: "1 goes first, 10 last, among those that wait; 5 when absent.",
  }),
);
export const GenerateRequestSchema = Type.Object(
  {
    inputs: Type.Unsafe<string | string[]>({
      type: ["string", "array"],
      minLength: 1,
      minItems: 1,
      maxItems: 1024,
      items: { type: "string", minLength: 1 },
      description: "One text, or several: each becomes a generation of its own, all in one batch.",
    }),
    model: Type.Optional(modelName),
    parameters: Type.Optional(Type.Unsafe<Parameters>({ anyOf: [ref(ParametersSchema), { type: "null" }] })),
    priority,
    stream: Type.Optional(
      Type.Unsafe<boolean>({ type: ["boolean", "null"], description: "Answer with server-sent events." }),
    ),
  },
  {
    $id: "GenerateRequest",
    additionalProperties: false,
    examples: [
      { inputs: "the meeting is at half past three", model: "itn-en" },
      { inputs: ["hello", "world"], model: "g2p-en", parameters: { num_beams: 4, details: true } },
    ],
  },
);
export type GenerateBody = Static<typeof GenerateRequestSchema>;

const finishReason = Type.Unsafe<string>({
  type: "string",
  enum: ["eos_token", "length", "stop_sequence", "deadline", "cancelled"],
});
const logprob = nullable("number", "Natural logarithm under the model's own distribution; null when not asked for.");
const sampledLogprob = Type.Number({
  description:
    "Natural logarithm under the distribution the token was drawn from: given besides `logprob` when sampling and options (temperature, top_k, penalties, …) had changed the model's own.",
});
const id = Type.Integer({ minimum: 0 });

export const TokenSchema = Type.Object(
  { id, text: Type.String(), logprob, sampled_logprob: Type.Optional(sampledLogprob), special: Type.Boolean() },
  { $id: "Token", description: "A generated token. `text` is what it adds; empty while a character is incomplete." },
);
const TopTokenSchema = Type.Object({ id, text: Type.String(), logprob: Type.Number(), special: Type.Boolean() });
const topTokens = Type.Array(TopTokenSchema);

export const OutputSchema = Type.Object(
  {
    text: Type.String(),
    ids: Type.Array(id, { description: "All ids after the start token, a forced prefix and the end token included." }),
    score: nullable(
      "number",
      "sequences_scores of a beam search, else the mean log-probability; null when not asked for.",
    ),
    finish_reason: finishReason,
  },
  { $id: "Output" },
);

const sequence = {
  finish_reason: finishReason,
  generated_tokens: Type.Integer({ minimum: 0 }),
  seed: nullable("integer", "Seed of the sampling; null when nothing was drawn."),
  prefill: Type.Array(
    Type.Object({ id, text: Type.String(), logprob: nullable("number", "Null: these ids were given, not chosen.") }),
  ),
  tokens: Type.Array(ref(TokenSchema)),
  top_tokens: Type.Optional(Type.Array(topTokens)),
  attention: Type.Optional(
    Type.Array(Type.Array(Type.Number()), { description: "[token][source token]; rows sum to 1." }),
  ),
};

export const DetailsSchema = Type.Object(
  {
    ...sequence,
    best_of_sequences: Type.Optional(Type.Array(Type.Object({ generated_text: Type.String(), ...sequence }))),
  },
  { $id: "Details", description: "The first output; further ones are in best_of_sequences." },
);

const ending = {
  outputs: Type.Array(ref(OutputSchema), { description: "Best first, one per returned sequence." }),
  model: Type.String(),
  id: Type.String({ description: "The generation's id, as in X-Generation-Id." }),
  usage: Type.Object({ source_tokens: Type.Integer(), generated_tokens: Type.Integer() }),
  timings: Type.Object({
    queue_ms: Type.Number(),
    encode_ms: Type.Number(),
    decode_ms: Type.Number(),
    total_ms: Type.Number(),
  }),
};

export const GenerationSchema = Type.Object(
  {
    generated_text: Type.String({ description: "Text of the first output." }),
    details: Type.Optional(ref(DetailsSchema)),
    ...ending,
  },
  { $id: "Generation" },
);
export type Answer = Static<typeof GenerationSchema>;

const place = {
  index: Type.Integer({ minimum: 1, description: "Number of this event in the stream, as in its `id:` line." }),
  input: Type.Optional(Type.Integer({ minimum: 0, description: "Which of several inputs." })),
};

export const TokenEventSchema = Type.Object(
  {
    ...place,
    output: Type.Optional(Type.Integer({ minimum: 0, description: "Which output, when several are asked for." })),
    token: ref(TokenSchema),
    generated_text: Type.Null(),
    details: Type.Null(),
    top_tokens: Type.Optional(topTokens),
    attention: Type.Optional(Type.Array(Type.Number(), { description: "Weights over the source tokens." })),
  },
  { $id: "TokenEvent" },
);
export type TokenEventBody = Static<typeof TokenEventSchema>;

const streamDetails = Type.Object({
  finish_reason: finishReason,
  generated_tokens: Type.Integer({ minimum: 0 }),
  seed: nullable("integer", "Seed of the sampling; null when nothing was drawn."),
  input_length: Type.Integer({ minimum: 0, description: "Source tokens." }),
});

export const EndEventSchema = Type.Object(
  {
    ...place,
    token: ref(TokenSchema),
    generated_text: Type.String(),
    details: Type.Unsafe<Static<typeof streamDetails> | null>({ anyOf: [streamDetails, { type: "null" }] }),
    finish_reason: finishReason,
    ...ending,
  },
  {
    $id: "EndEvent",
    description:
      "Ends a generation (`event: end`). Tokens are sent the moment they are final, so the last one can't carry the whole text as TGI's does: " +
      "this event does, with a special token of empty text so that TGI's clients read it as one more token event.",
  },
);
export type EndEventBody = Static<typeof EndEventSchema>;

export const answerSchemas = [
  TokenSchema,
  OutputSchema,
  DetailsSchema,
  GenerationSchema,
  TokenEventSchema,
  EndEventSchema,
];
