// POST /generations: starts a generation that goes on whether anybody listens or not, once per Idempotency-Key.
import { randomBytes } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError, refuse } from "../../errors.js";
import { summaryBody } from "./answer.js";
import { noQuery, StartRequestSchema, SummarySchema, type StartBody, type Summary } from "./schemas.js";
import { startGeneration } from "../../queue/start-generation.js";
import { inputField, prepareGeneration, type GenerateRequest } from "../generate/prepare.js";
import { hashBody, idempotencyKey, startOnce } from "./idempotency.js";
import type { RouteParts } from "../route-parts.js";
import { checkedInputs, checkedParameters } from "../generate/rules.js";
import { errorAnswers, keyed, ref } from "../http/schemas.js";
import type { App } from "../http/app.js";
import { defaultPriority } from "../../generation.js";
import { requestOwner } from "../http/hooks.js";
import type { Config } from "../../config/config.js";
import { isPublicAddress, literalAddress } from "../../queue/webhooks/webhook-address.js";

const headers = {
  type: "object",
  properties: {
    "Idempotency-Key": {
      type: "string",
      description:
        "1 to 255 characters. The same key with the same body starts nothing again and gets the same generation, with the header " +
        "`Idempotent-Replayed: true`; with another body it is a 409. Kept for GENERATION_TTL.",
      examples: ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    },
  },
};

const acceptedResponse = {
  ...ref(SummarySchema),
  description: "It is admitted",
  headers: {
    Location: { type: "string", description: "/generations/{id}" },
    "X-Generation-Id": { type: "string" },
    "Idempotent-Replayed": { type: "string", description: "`true` when this key had started it before." },
  },
};

export function startRoute(app: App, parts: RouteParts): void {
  app.post(
    "/generations",
    {
      schema: {
        tags: ["durable"],
        security: keyed,
        operationId: "startGeneration",
        summary: "Start a durable generation",
        description:
          "Answers once it is admitted; `Location` is where to look it up, `{Location}/events` where to read it.",
        headers,
        querystring: noQuery,
        body: ref(StartRequestSchema),
        response: { 202: acceptedResponse, ...errorAnswers(400, 401, 404, 409, 410, 413, 415, 422, 429, 500, 503) },
      },
      preValidation: async ({ body }) => refuseFieldsOfGenerate(body),
    },
    (request, reply) => answerStart(parts, request, reply),
  );
}

type Request = Pick<FastifyRequest, "headers" | "span"> & { readonly body: StartBody };

/** What the body asks, checked. */
interface Start extends GenerateRequest {
  readonly priority: number;
  readonly webhookUrl: string | null;
}

async function answerStart(parts: RouteParts, request: Request, reply: FastifyReply): Promise<Summary> {
  const { headers, body } = request;
  const key = idempotencyKey(headers["idempotency-key"]);
  const asked = checkedStart(parts, request);
  const owner = requestOwner(headers, parts.config.apiKeys);
  // Who leaves before the answer has started it all the same.
  const open = parts.lifetime.begin(reply.raw, true);
  try {
    const id = randomBytes(16).toString("hex");
    const startAs = (under: string) => startWithId(parts, asked, { owner, id: under });
    const started =
      key === null
        ? await startAs(id).then(() => ({ id, isReplay: false }))
        : await startOnce(parts.generations, { owner, key, bodyHash: hashBody(body), id, start: startAs });
    const summary = await readSummary(parts, started.id);
    if (started.isReplay) reply.header("idempotent-replayed", "true");
    reply.header("location", `/generations/${started.id}`).header("x-generation-id", started.id).code(202);
    return summary;
  } finally {
    open.end();
  }
}

async function startWithId(
  parts: RouteParts,
  asked: Start,
  { owner, id }: { owner: string; id: string },
): Promise<void> {
  const places = parts.openGenerations.enter(owner, 1);
  try {
    const { text, prepared } = await prepareGeneration(parts.inference, asked);
    const { parameters, priority, webhookUrl } = asked;
    const takePlace = () => places.pop() ?? (() => undefined);
    const origin = { owner, priority, parameters, webhookUrl, takePlace };
    await startGeneration(parts, { text, prepared: { ...prepared, id } }, origin);
  } finally {
    for (const leave of places) leave();
  }
}

async function readSummary({ generations }: RouteParts, id: string): Promise<Summary> {
  const found = await generations.find(id);
  if (typeof found === "object") return summaryBody(found);
  throw new AppError("gone", "the generation that this key began is not kept any longer");
}

function checkedStart({ config }: RouteParts, { body, span }: Request): Start {
  const url = body.webhook_url ?? null;
  const parameters = checkedParameters(body.parameters ?? undefined, { streams: false });
  if (parameters.on_disconnect === "cancel") {
    refuse("parameters.on_disconnect", "a durable generation goes on: cancel it by DELETE");
  }
  if (parameters.split !== undefined) {
    refuse("parameters.split", "not for durable generations: start one a sentence");
  }
  return {
    text: checkedInputs(body.inputs, 1)[0] ?? "",
    field: inputField(false, 0),
    model: body.model ?? undefined,
    parameters,
    priority: body.priority ?? defaultPriority,
    webhookUrl: url === null ? null : checkedWebhookUrl(url, config),
    trace: span?.headers,
  };
}

// Fields that /generate takes: "unknown field" would not say where else to turn.
function refuseFieldsOfGenerate(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  const { stream, inputs } = body as { readonly stream?: unknown; readonly inputs?: unknown };
  if (stream !== undefined) refuse("stream", "not here: read the events at GET /generations/{id}/events");
  if (Array.isArray(inputs)) refuse("inputs", "must be one text: start a generation for each of several");
}

/**
 * The URL as it will be called. Where its name leads to is checked at the moment of connecting (queue/webhooks/).
 * Throws AppError "validation" naming `webhook_url`.
 */
function checkedWebhookUrl(
  sent: string,
  { webhookSecret, webhookPrivate }: Pick<Config, "webhookSecret" | "webhookPrivate">,
): string {
  const field = "webhook_url";
  if (webhookSecret === null)
    return refuse(field, "this server calls no webhooks: it has no WEBHOOK_SECRET to sign with");
  const url = URL.canParse(sent) ? new URL(sent) : refuse(field, "must be an absolute URL");
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return refuse(field, "must begin with https:// or http://");
  if (url.username !== "" || url.password !== "") return refuse(field, "must not hold a user name or password");
  const literal = literalAddress(url);
  if (webhookPrivate === "refuse" && literal !== null && !isPublicAddress(literal)) {
    return refuse(field, "leads to an address that is not public");
  }
  url.hash = "";
  return url.href;
}
