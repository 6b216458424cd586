// KServe's Open Inference Protocol as far as text goes, with Triton's generate extension: generate and generate_stream.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { RouteParts } from "../../route-parts.js";
import { errorAnswers, ErrorSchema, keyed, ref, eventStream } from "../../http/schemas.js";
import { serve } from "../translation.js";
import { eachPath, findModel } from "./models.js";
import { KserveAnswerSchema, KserveParametersSchema, KserveRequestSchema, type KserveBody } from "./schemas.js";
import { KserveTranslation } from "./translation.js";
import type { App } from "../../http/app.js";

const tags = ["compatible"];

/** Routes that handle texts. */
export function kserveRoutes(app: App, parts: RouteParts): void {
  for (const schema of [KserveParametersSchema, KserveRequestSchema, KserveAnswerSchema]) app.addSchema(schema);
  const json: { schema: object } = { schema: ref(KserveAnswerSchema) };
  const text = { description: "The text", content: { "application/json": json } };
  const events = { description: "Events", content: eventStream({ message: [KserveAnswerSchema, ErrorSchema] }) };
  for (const [name, operationId, answer] of [
    ["generate", "kserveGenerate", text],
    ["generate_stream", "kserveGenerateStream", events],
  ] as const) {
    const response = { 200: answer, ...errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504) };
    const schema = { tags, security: keyed, summary: `KServe: ${name}`, body: ref(KserveRequestSchema), response };
    const streams = answer === events;
    const handler = (request: FastifyRequest, reply: FastifyReply) => generate(parts, request, reply, streams);
    eachPath(name, operationId, (url, path) => app.post(url, { schema: { ...schema, ...path } }, handler));
  }
}

function generate(parts: RouteParts, request: FastifyRequest, reply: FastifyReply, streams: boolean) {
  const body = request.body as KserveBody;
  const read = () => new KserveTranslation(body, findModel(parts.inference.models(), request.params), streams);
  return serve(parts, { request, reply }, (field) => clientName(field, body), read);
}

function clientName(field: string, { parameters }: KserveBody): string {
  if (field === "inputs") return "text_input";
  if (field === "temperature") return "parameters.temperature";
  const isTokens = field === "parameters.max_new_tokens" && parameters?.max_tokens != null;
  return isTokens ? "parameters.max_tokens" : field;
}
