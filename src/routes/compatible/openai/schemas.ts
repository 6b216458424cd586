// Shapes of /v1: OpenAI's fields, plus every option of /generate at the root, where Hugging Face's client and `extra_body` put them.
import { Type, type Static } from "typebox";
import { ParametersSchema } from "../../../parameters.js";
import { nullable, ref } from "../../http/schemas.js";

const {
  best_of: _bestOf,
  num_return_sequences: _n,
  logprobs,
  temperature: _temperature,
  ...options
} = ParametersSchema.properties;

const integer = (minimum: number, maximum: number, description: string) =>
  Type.Optional(Type.Unsafe<number>({ type: ["integer", "null"], minimum, maximum, description }));
const anything = (description: string) => Type.Optional(Type.Unsafe<unknown>({ description }));

const shared = {
  ...options,
  model: Type.Optional(
    Type.Unsafe<string>({
      type: ["string", "null"],
      minLength: 1,
      maxLength: 2048,
      description: "A model of /v1/models. Absent, a URL, `dummy` or `tgi`: the default model.",
    }),
  ),
  stream: Type.Optional(Type.Unsafe<boolean>({ type: ["boolean", "null"] })),
  stream_options: Type.Optional(
    Type.Unsafe<{ include_usage?: boolean | null } | null>({
      type: ["object", "null"],
      additionalProperties: false,
      properties: {
        include_usage: { type: ["boolean", "null"], description: "End the stream with a chunk that has `usage`." },
        include_obfuscation: { enum: [false, null] },
      },
      description: "Only with `stream`.",
    }),
  ),
  temperature: Type.Optional(
    Type.Unsafe<number>({
      type: ["number", "null"],
      minimum: 0,
      maximum: 100,
      description: "0 = take the best token. Absent: as the model's files say, mostly without sampling.",
    }),
  ),
  max_tokens: options.max_new_tokens,
  n: integer(1, 64, "Choices per prompt: needs sampling, or num_beams of at least n."),
  logit_bias: Type.Optional(
    Type.Unsafe<Record<string, number> | null>({
      type: ["object", "null"],
      additionalProperties: { type: "number", minimum: -100, maximum: 100 },
      propertyNames: { pattern: "^[0-9]{1,9}$" },
      description: "Added to the score of a token, by its id in the model's vocabulary.",
    }),
  ),
  user: Type.Optional(
    Type.Unsafe<string>({
      type: ["string", "null"],
      maxLength: 512,
      description: "Your name for your user; changes nothing.",
    }),
  ),
  return_full_text: anything("Only false: the input is not part of the output."),
  decoder_input_details: anything("Only false: see /generate."),
  attention: anything("Only false: see /generate."),
};

export const CompletionRequestSchema = Type.Object(
  {
    ...shared,
    prompt: Type.Unsafe<string | string[]>({
      type: ["string", "array"],
      minLength: 1,
      minItems: 1,
      maxItems: 1024,
      items: { type: "string", minLength: 1 },
      description: "The source text, or several: all in one batch.",
    }),
    best_of: integer(1, 64, "Draw so many, answer with the n best by mean log-probability. Not with a stream."),
    logprobs: integer(0, 20, "Log-probabilities, and so many alternatives for each token."),
    echo: anything("Only false: the prompt is the encoder's, not part of the output."),
    suffix: anything("Not supported."),
  },
  {
    $id: "CompletionRequest",
    additionalProperties: false,
    examples: [{ model: "itn-en", prompt: "the meeting is at half past three", max_tokens: 32 }],
  },
);
export type CompletionBody = Static<typeof CompletionRequestSchema>;

export const MessageSchema = Type.Object(
  {
    role: Type.String({
      maxLength: 32,
      description: "user, assistant, or system where the model's seqserve.json has a form for it.",
    }),
    content: Type.Unsafe<string | { type: string; text?: string }[]>({
      type: ["string", "array"],
      maxItems: 1024,
      items: { type: "object", required: ["type"], properties: { type: { type: "string" }, text: { type: "string" } } },
      description: "Text, or parts of type text.",
    }),
    name: Type.Optional(Type.Unsafe<null>({ enum: [null] })),
    tool_calls: Type.Optional(Type.Unsafe<null>({ enum: [null] })),
  },
  { $id: "ChatMessage", additionalProperties: false },
);
export type ChatMessage = Static<typeof MessageSchema>;

export const ChatRequestSchema = Type.Object(
  {
    ...shared,
    messages: Type.Array(ref(MessageSchema), {
      minItems: 1,
      maxItems: 1024,
      description:
        "The last, a user's, is the source text; with `chat` in the model's seqserve.json all are, in its form.",
    }),
    max_completion_tokens: options.max_new_tokens,
    logprobs,
    top_logprobs: integer(0, 20, "Alternatives for each token; needs logprobs."),
    tools: anything("Only empty."),
    tool_choice: anything('Only "none" or "auto".'),
    tool_prompt: anything("Only null."),
    response_format: anything('Only {"type": "text"}.'),
  },
  {
    $id: "ChatRequest",
    additionalProperties: false,
    examples: [{ model: "itn-en", messages: [{ role: "user", content: "the meeting is at half past three" }] }],
  },
);
export type ChatBody = Static<typeof ChatRequestSchema>;

const UsageSchema = Type.Object(
  {
    prompt_tokens: Type.Integer({ description: "Source tokens." }),
    completion_tokens: Type.Integer({ description: "Generated tokens of all outputs, end tokens included." }),
    total_tokens: Type.Integer(),
  },
  { $id: "OpenAiUsage" },
);

const usage = Type.Unsafe<Static<typeof UsageSchema> | null>({
  anyOf: [ref(UsageSchema), { type: "null" }],
  description: "Null in the chunks of a stream that ends with it.",
});
const head = { id: Type.String(), created: Type.Integer(), model: Type.String(), system_fingerprint: Type.String() };
const finishReason = nullable("string", "stop, or length (also where a deadline cut); null before the end.");

export const CompletionSchema = Type.Object(
  {
    ...head,
    object: Type.Literal("text_completion"),
    choices: Type.Array(
      Type.Object({
        index: Type.Integer({ description: "prompt × n + choice" }),
        text: Type.String(),
        logprobs: Type.Unknown(),
        finish_reason: finishReason,
      }),
    ),
    usage: Type.Optional(usage),
  },
  {
    $id: "Completion",
    description: "An answer, or a chunk of a stream: chunks have TGI's token, generated_text and details besides.",
  },
);

export const ChatCompletionSchema = Type.Object(
  {
    ...head,
    object: Type.String({ description: "chat.completion, or chat.completion.chunk" }),
    choices: Type.Array(
      Type.Object({
        index: Type.Integer(),
        message: Type.Optional(
          Type.Object({ role: Type.Literal("assistant"), content: Type.String(), refusal: Type.Null() }),
        ),
        delta: Type.Optional(
          Type.Object({ role: Type.Optional(Type.String()), content: Type.Optional(Type.String()) }),
        ),
        logprobs: Type.Unknown(),
        finish_reason: finishReason,
      }),
    ),
    usage: Type.Optional(usage),
  },
  { $id: "ChatCompletion", description: "An answer with `message`, or a chunk of a stream with `delta`." },
);

export const OpenAiErrorSchema = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String(),
      param: nullable("string", "The field at fault."),
      code: Type.String({ description: "As error_type on the other routes." }),
    }),
  },
  { $id: "OpenAiError" },
);

export const OpenAiModelSchema = Type.Object(
  { id: Type.String(), object: Type.Literal("model"), created: Type.Integer(), owned_by: Type.String() },
  { $id: "OpenAiModel" },
);

export const openAiSchemas = [
  MessageSchema,
  CompletionRequestSchema,
  ChatRequestSchema,
  UsageSchema,
  CompletionSchema,
  ChatCompletionSchema,
  OpenAiErrorSchema,
  OpenAiModelSchema,
];
