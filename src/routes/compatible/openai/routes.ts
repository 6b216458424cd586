// OpenAI's surface: /v1/completions, /v1/chat/completions, /v1/models. Errors are OpenAI's objects (error.ts).
import { randomBytes } from "node:crypto";
import { Type } from "typebox";
import { AppError } from "../../../errors.js";
import type { Inference } from "../../../inference/inference.js";
import { suggestion } from "../../../nearest.js";
import type { RouteParts } from "../../route-parts.js";
import { described, errorAnswersAs, keyed, open, ref, eventStreamUntilDone } from "../../http/schemas.js";
import { serve } from "../translation.js";
import { ChatTranslation } from "./chat.js";
import type { RequestFacts } from "./choices.js";
import { CompletionTranslation } from "./completions.js";
import { answerOpenAiError } from "./error.js";
import { clientName, requestedModel } from "./options.js";
import {
  ChatCompletionSchema,
  ChatRequestSchema,
  CompletionRequestSchema,
  CompletionSchema,
  OpenAiErrorSchema,
  OpenAiModelSchema,
  openAiSchemas,
} from "./schemas.js";
import type { App } from "../../http/app.js";

const tags = ["compatible"];
const errors = errorAnswersAs(OpenAiErrorSchema, 400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504);

/** Routes that handle texts. */
export async function openAiRoutes(app: App, parts: RouteParts): Promise<void> {
  for (const schema of openAiSchemas) app.addSchema(schema);
  await app.register(async (scope) => {
    scope.setErrorHandler(answerOpenAiError);
    completionRoutes(scope, parts);
  });
}

function completionRoutes(app: App, parts: RouteParts): void {
  const answers = (shape: typeof CompletionSchema | typeof ChatCompletionSchema) => {
    const json: { schema: object } = { schema: ref(shape) };
    const events = eventStreamUntilDone(shape, OpenAiErrorSchema);
    return { 200: { description: "JSON, or chunks", content: { "application/json": json, ...events } }, ...errors };
  };
  const common = { tags, security: keyed };
  app.post(
    "/v1/completions",
    {
      schema: {
        ...common,
        operationId: "createCompletion",
        summary: "OpenAI's completions",
        body: ref(CompletionRequestSchema),
        response: answers(CompletionSchema),
      },
    },
    (request, reply) => {
      const { body } = request;
      const read = () => new CompletionTranslation(body, requestFacts(parts));
      return serve(parts, { request, reply }, clientName(body), read);
    },
  );
  app.post(
    "/v1/chat/completions",
    {
      schema: {
        ...common,
        operationId: "createChatCompletion",
        summary: "OpenAI's chat completions",
        body: ref(ChatRequestSchema),
        response: answers(ChatCompletionSchema),
      },
    },
    (request, reply) => {
      const { body } = request;
      const read = () => new ChatTranslation(body, findChatForm(parts, body.model), requestFacts(parts));
      return serve(parts, { request, reply }, clientName(body), read);
    },
  );
}

/** Open, as /models is. */
export async function openAiModelRoutes(app: App, { inference }: RouteParts): Promise<void> {
  await app.register(async (scope) => {
    scope.setErrorHandler(answerOpenAiError);
    modelRoutes(scope, inference);
  });
}

function modelRoutes(app: App, inference: Inference): void {
  const models = () => inference.models().map(({ name }) => modelBody(name));
  const list = Type.Object({ object: Type.Literal("list"), data: Type.Array(ref(OpenAiModelSchema)) });
  const common = { tags, security: open };
  app.get(
    "/v1/models",
    {
      schema: {
        ...common,
        operationId: "listOpenAiModels",
        summary: "OpenAI's list of models",
        response: { 200: described(list, "All") },
      },
    },
    async () => ({ object: "list" as const, data: models() }),
  );
  app.get(
    "/v1/models/:id",
    {
      schema: {
        ...common,
        operationId: "getOpenAiModel",
        summary: "One model, as OpenAI tells it",
        params: Type.Object({ id: Type.String({ description: "Name of a model.", examples: ["itn-en"] }) }),
        response: { 200: described(ref(OpenAiModelSchema), "It is served"), ...errorAnswersAs(OpenAiErrorSchema, 404) },
      },
    },
    async ({ params }) => {
      const found = models().find(({ id }) => id === params.id);
      if (found !== undefined) return found;
      const hint = suggestion(
        params.id,
        models().map(({ id }) => id),
      );
      throw new AppError("not_found", `no such model${hint}`, { field: "model" });
    },
  );
}

function modelBody(id: string) {
  return { id, object: "model" as const, created: 0, owned_by: "seqserve" };
}

function findChatForm({ inference }: RouteParts, model: string | null | undefined) {
  const name = requestedModel(model);
  const info = inference.models().find((one) => (name === undefined ? one.isDefault : one.name === name));
  return info?.chat ?? null;
}

function requestFacts({ config, version }: RouteParts): RequestFacts {
  const id = randomBytes(12).toString("hex");
  return { id, version, maxInputs: config.maxInputs, now: Math.floor(Date.now() / 1000) };
}
