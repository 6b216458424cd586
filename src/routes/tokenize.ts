// POST /tokenize and /detokenize: text to ids and back, with a model's own tokenizer.
import { Type } from "typebox";
import { ParametersSchema } from "../parameters.js";
import type { RouteParts } from "./route-parts.js";
import { checkedInputs } from "./generate/rules.js";
import { described, errorAnswers, keyed, modelName } from "./http/schemas.js";
import type { App } from "./http/app.js";

const errors = errorAnswers(400, 401, 404, 413, 415, 422, 500, 503);

const SourceTokenSchema = Type.Object({
  id: Type.Integer(),
  text: Type.String({ description: "The piece as the vocabulary writes it." }),
  start: Type.Integer({ description: "UTF-16 offset into the input." }),
  stop: Type.Integer(),
  special: Type.Boolean(),
});

const TokenizeBody = Type.Object(
  {
    inputs: Type.String({ minLength: 1 }),
    model: Type.Optional(modelName),
    parameters: Type.Optional(
      Type.Object(
        { truncate: ParametersSchema.properties.truncate },
        { additionalProperties: false, description: "TGI's place for truncate." },
      ),
    ),
  },
  { additionalProperties: false, examples: [{ inputs: "hello", model: "g2p-en" }] },
);

const DetokenizeBody = Type.Object(
  {
    ids: Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), { maxItems: 65_536 }),
    model: Type.Optional(modelName),
    skip_special_tokens: Type.Optional(
      Type.Unsafe<boolean>({ type: ["boolean", "null"], description: "Leave special tokens out; true when absent." }),
    ),
  },
  { additionalProperties: false, examples: [{ ids: [3, 4, 5], model: "g2p-en" }] },
);

export function tokenizeRoutes(app: App, { inference }: RouteParts): void {
  const tags = ["tokens"];
  app.post(
    "/tokenize",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "tokenize",
        summary: "Text to ids",
        body: TokenizeBody,
        response: { 200: described(Type.Array(SourceTokenSchema), "In order, special ones included"), ...errors },
      },
    },
    ({ body }) => {
      checkedInputs(body.inputs, 1);
      return inference.tokenize(body.model ?? undefined, body.inputs, body.parameters?.truncate ?? undefined);
    },
  );
  app.post(
    "/detokenize",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "detokenize",
        summary: "Ids to text",
        body: DetokenizeBody,
        response: { 200: described(Type.Object({ text: Type.String() }), "The text"), ...errors },
      },
    },
    async ({ body }) => {
      return { text: inference.detokenize(body.model ?? undefined, body.ids, body.skip_special_tokens ?? true) };
    },
  );
}
