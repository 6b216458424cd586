// Shapes of KServe's surface.
import { Type, type Static } from "typebox";
import { ParametersSchema } from "../../../parameters.js";
import { TokenSchema } from "../../generate/schemas.js";
import { nullable, ref } from "../../http/schemas.js";

export const KserveParametersSchema = Type.Object(
  {
    ...ParametersSchema.properties,
    max_tokens: ParametersSchema.properties.max_new_tokens,
    temperature: Type.Optional(
      Type.Unsafe<number>({
        type: ["number", "null"],
        minimum: 0,
        maximum: 100,
        description: "0 = take the best token.",
      }),
    ),
    exclude_input_in_output: Type.Optional(
      Type.Unsafe<boolean>({
        enum: [true, null],
        description: "Only true: the input is the encoder's, not part of the output.",
      }),
    ),
  },
  { $id: "KserveParameters", additionalProperties: false },
);

export const KserveRequestSchema = Type.Object(
  {
    text_input: Type.String({ minLength: 1 }),
    id: Type.Optional(
      Type.Unsafe<string>({ type: ["string", "null"], maxLength: 128, description: "Comes back in the answer." }),
    ),
    parameters: Type.Optional(
      Type.Unsafe<Static<typeof KserveParametersSchema>>({ anyOf: [ref(KserveParametersSchema), { type: "null" }] }),
    ),
    stream: Type.Optional(
      Type.Unsafe<boolean>({ type: ["boolean", "null"], description: "As the path says, or absent." }),
    ),
  },
  {
    $id: "KserveRequest",
    additionalProperties: false,
    examples: [{ id: "mine", text_input: "the meeting is at half past three", parameters: { max_tokens: 32 } }],
  },
);
export type KserveBody = Static<typeof KserveRequestSchema>;

export const ServerSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  extensions: Type.Array(Type.String()),
});
export const LiveSchema = Type.Object({ live: Type.Boolean() });
export const ReadySchema = Type.Object({ ready: Type.Boolean() });
export const ModelReadySchema = Type.Object({ name: Type.String(), ready: Type.Boolean() });

const tensors = Type.Array(
  Type.Object({ name: Type.String(), datatype: Type.String(), shape: Type.Array(Type.Integer()) }),
);
export const KserveModelSchema = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: tensors,
  outputs: tensors,
});

export const KserveAnswerSchema = Type.Object(
  {
    id: Type.Optional(Type.String()),
    model_name: Type.String(),
    model_version: Type.String(),
    text_output: Type.String({ description: "The text; in a stream what this event adds." }),
    done: Type.Optional(Type.Boolean({ description: "In a stream: whether this is the last event." })),
    details: Type.Optional(
      Type.Object({
        finish_reason: Type.Optional(Type.String()),
        generated_tokens: Type.Optional(Type.Integer()),
        seed: Type.Optional(nullable("integer", "Seed of the sampling.")),
        logprobs: Type.Optional(Type.Array(ref(TokenSchema), { description: "The tokens." })),
        token: Type.Optional(ref(TokenSchema)),
        top_tokens: Type.Optional(Type.Array(Type.Unknown(), { description: "With top_n_tokens." })),
      }),
    ),
  },
  { $id: "KserveAnswer" },
);
