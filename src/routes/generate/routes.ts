// POST /generate and /generate_stream: the same generations, drained into JSON or passed on as events.
import type { FastifyReply, FastifyRequest } from "fastify";
import { refuse } from "../../errors.js";
import type { Parameters } from "../../parameters.js";
import { errorBody } from "../http/errors.js";
import { generationBody, endEvent, tokenEvent } from "./answer.js";
import {
  EndEventSchema,
  GenerateRequestSchema,
  GenerationSchema,
  TokenEventSchema,
  type Answer,
  type GenerateBody,
} from "./schemas.js";
import { inputField, type GenerateRequest } from "./prepare.js";
import type { RouteParts } from "../route-parts.js";
import { checkedInputs, checkedParameters } from "./rules.js";
import { readToEnd, streamEvents, withGenerations, type EventFormat, type FinishedGeneration } from "./run.js";
import { errorAnswers, ErrorSchema, keyed, ref, eventStream } from "../http/schemas.js";
import type { App } from "../http/app.js";
import { isOfReading } from "../../queue/log/token-log.js";
import { readOnePerTick } from "../http/hooks.js";

const errors = errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504);
/** Of this route and of TGI's root. */
export const generateEvents = eventStream({ message: [TokenEventSchema], end: [EndEventSchema], error: [ErrorSchema] });
const json = { schema: { oneOf: [ref(GenerationSchema), { type: "array", items: ref(GenerationSchema) }] } };
const answers = "One object for one text, an array in order for an array; or events, one token each";

export function generateRoutes(app: App, parts: RouteParts): void {
  const body = ref(GenerateRequestSchema);
  readOnePerTick(app);
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
  const requests = checkedRequests(parts, request, streams);
  const shape = { parameters: requests[0]?.parameters ?? {}, isList: typeof request.body.inputs !== "string" };
  const exchange = { request, reply };
  return withGenerations(parts, exchange, requests, async (prepared) => {
    if (!streams) {
      const answers = (await readToEnd(prepared)).map((one) => answerBody(parts, shape.parameters, one));
      return shape.isList ? answers : (answers[0] ?? answers);
    }
    await streamEvents(parts, exchange, prepared, eventFormat(shape, prepared.queue !== parts.queue));
    return reply;
  });
}

/** Throws AppError "validation" for what the schema can't say. */
export function checkedRequests(
  { config }: Pick<RouteParts, "config">,
  { body, span }: Pick<Request, "body"> & Partial<Pick<Request, "span">>,
  streams: boolean,
): GenerateRequest[] {
  const texts = checkedInputs(body.inputs, config.maxInputs);
  const isList = typeof body.inputs !== "string";
  const common = {
    model: body.model ?? undefined,
    priority: body.priority ?? undefined,
    parameters: checkedParameters(body.parameters ?? undefined, { streams }),
    readsWhole: !streams,
    trace: span?.headers,
  };
  return texts.map((text, i) => ({ ...common, text, field: inputField(isList, i) }));
}

/** What the answer's shape depends on. */
interface AnswerShape {
  readonly parameters: Parameters;
  /** The client sent an array: the answer is one, and events say whose they are. */
  readonly isList: boolean;
}

/** What POST /generate answers for one text. */
export function answerBody(
  { inference }: Pick<RouteParts, "inference">,
  parameters: Parameters,
  { generation, end }: FinishedGeneration,
): Answer {
  const piece = (id: number) => inference.detokenize(generation.prepared.model, [id], false);
  return generationBody(generation, end, parameters, piece);
}

function eventFormat({ parameters, isList }: AnswerShape, isDurable: boolean): EventFormat {
  return {
    event: (event, { row, index, generation }) => {
      const position = { index, ...(isList ? { input: row } : {}) };
      if (event.type === "token") return [{ id: index, data: tokenEvent(event, parameters, position) }];
      return [{ id: index, event: "end", data: endEvent(generation, event, parameters, position) }];
    },
    closing: () => [],
    error: (error, index) => {
      const number = isDurable && isOfReading(error) ? {} : { id: index };
      return { ...number, event: "error", data: errorBody(error) };
    },
    endsWithDone: false,
  };
}
