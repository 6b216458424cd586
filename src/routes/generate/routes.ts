// POST /generate and /generate_stream: the same generations, drained into JSON or passed on as events.
import type { FastifyReply, FastifyRequest } from "fastify";
import { refuse } from "../../errors.js";
import { errorBody } from "../http/errors.js";
import { answer, endEvent, tokenEvent } from "./answer.js";
import {
  EndEventSchema,
  GenerateRequestSchema,
  GenerationSchema,
  TokenEventSchema,
  type Answer,
  type GenerateBody,
} from "./schemas.js";
import { prepareAll, type GenerateRequest } from "./prepare.js";
import type { RouteParts } from "../route-parts.js";
import { checkedInputs, checkedParameters } from "./rules.js";
import { finished, running, sendEvents, type EventForm, type Finished } from "./run.js";
import { errorAnswers, ErrorSchema, keyed, ref, eventStream } from "../http/schemas.js";
import type { App } from "../http/app.js";
import { isOfReading } from "../../queue/log/token-log.js";
import { readInTurns } from "../http/hooks.js";

const errors = errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504);
/** Of this route and of TGI's root. */
export const generateEvents = eventStream({ message: [TokenEventSchema], end: [EndEventSchema], error: [ErrorSchema] });
const json = { schema: { oneOf: [ref(GenerationSchema), { type: "array", items: ref(GenerationSchema) }] } };
const answers = "One object for one text, an array in order for an array; or events, one token each";

export function generateRoutes(app: App, parts: RouteParts): void {
  const body = ref(GenerateRequestSchema);
  readInTurns(app);
  app.post(
    "/generate",
    {
      schema: {
        tags: ["generate"],
        security: keyed,
        operationId: "generate",
        summary: "Generate text",
        description: "Streams when `stream` is true or the request accepts text/event-stream.",
        body,
        response: {
          200: { description: answers, content: { "application/json": json, ...generateEvents } },
          ...errors,
        },
      },
    },
    (request, reply) => generate(parts, request, reply, wantsStream(request)),
  );
  app.post(
    "/generate_stream",
    {
      schema: {
        tags: ["generate"],
        security: keyed,
        operationId: "generateStream",
        summary: "Generate text as server-sent events",
        body,
        response: {
          200: { description: "Events, one token each", content: generateEvents },
          ...errors,
        },
      },
    },
    (request, reply) => {
      if (request.body.stream === false) {
        refuse("stream", "this route always streams; use /generate");
      }
      return generate(parts, request, reply, true);
    },
  );
}

export type Request = Pick<FastifyRequest, "log" | "headers" | "span"> & { readonly body: GenerateBody };

export function wantsStream({ body, headers }: Request): boolean {
  return body.stream ?? (headers.accept ?? "").includes("text/event-stream");
}

/** What `POST /` does too. */
export async function generate(parts: RouteParts, request: Request, reply: FastifyReply, streams: boolean) {
  const asked = checkedRequest(parts, request, streams);
  const { texts, parameters, priority } = asked;
  const prepare = () => prepareAll(parts.inference, asked);
  const exchange = { request, reply };
  return running(parts, exchange, { count: texts.length, parameters, priority, prepare }, async (run) => {
    if (!streams) return answersOf(parts, asked, await finished(run));
    await sendEvents(parts, exchange, run, eventForm(asked, run.queue !== parts.queue));
    return reply;
  });
}

/** Throws AppError "validation" for what the schema can't say. */
export function checkedRequest(
  { config }: Pick<RouteParts, "config">,
  { body, span }: Pick<Request, "body"> & Partial<Pick<Request, "span">>,
  streams: boolean,
): GenerateRequest {
  return {
    texts: checkedInputs(body.inputs, config.maxInputs),
    isList: typeof body.inputs !== "string",
    model: body.model ?? undefined,
    priority: body.priority ?? undefined,
    parameters: checkedParameters(body.parameters ?? undefined, { streams }),
    readsWhole: !streams,
    trace: span?.headers,
  };
}

/** What POST /generate answers. */
export function answersOf(
  { inference }: Pick<RouteParts, "inference">,
  { parameters, isList, model }: Pick<GenerateRequest, "parameters" | "isList" | "model">,
  all: readonly Finished[],
): Answer | Answer[] {
  const piece = (id: number) => inference.detokenize(model, [id], false);
  const each = all.map(({ generation, end }) => answer(generation, end, parameters, piece));
  const [first] = each;
  return isList || first === undefined ? each : first;
}

function eventForm({ parameters, isList }: GenerateRequest, isDurable: boolean): EventForm {
  return {
    event: (event, { row, index, generation }) => {
      const place = { index, ...(isList ? { input: row } : {}) };
      if (event.type === "token") return [{ id: index, data: tokenEvent(event, parameters, place) }];
      return [{ id: index, event: "end", data: endEvent(generation, event, parameters, place) }];
    },
    closing: () => [],
    error: (error, index) => {
      const place = isDurable && isOfReading(error) ? {} : { id: index };
      return { ...place, event: "error", data: errorBody(error) };
    },
    endsWithDone: false,
  };
}
