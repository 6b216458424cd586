// GET /generations/{id}/events: a generation's log as server-sent events, from any number on, as often and by as many readers as like.
//
//   Last-Event-ID ──▶ 204 nothing left · 410 expired or lost · else events after it … terminal event ──▶ end
//                                                     the server drains ──▶ event: reconnect ──▶ end
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { AppError } from "../../errors.js";
import type { ResumeResult } from "../../telemetry/metrics.js";
import { logEvent } from "./answer.js";
import { ownGeneration, unknownGeneration } from "./lookup.js";
import { ReconnectEventSchema, idParam } from "./schemas.js";
import { errorBody, logError, toAppError } from "../http/errors.js";
import { EndEventSchema, TokenEventSchema } from "../generate/schemas.js";
import type { OpenRequest } from "../http/lifetime.js";
import type { RouteParts } from "../route-parts.js";
import { errorAnswers, ErrorSchema, keyed, eventStream } from "../http/schemas.js";
import { SseStream, type SseEvent } from "../http/sse.js";
import type { App } from "../http/app.js";
import type { LookupStatus } from "../../queue/log/token-log.js";

/** After which EventSource comes back. */
const retryMs = 1000;

const eventNumber = "^[0-9]{1,15}$";
const lastEventId = "Number of the last event that was seen: those after it follow. The header wins.";
const events = eventStream({
  message: [TokenEventSchema],
  end: [EndEventSchema],
  error: [ErrorSchema],
  reconnect: [ReconnectEventSchema],
});
const response: Record<number, unknown> = {
  200: { description: "Events from there to the end", content: events },
  204: { type: "null", description: "All events were seen: EventSource stops" },
  ...errorAnswers(401, 410, 422, 500, 503),
  404: unknownGeneration,
};

export function eventsRoute(app: App, parts: RouteParts): void {
  app.get(
    "/generations/:id/events",
    {
      exposeHeadRoute: false,
      schema: {
        tags: ["durable"],
        security: keyed,
        operationId: "readGenerationEvents",
        summary: "The events of a durable generation",
        description:
          "Those of /generate's streams, numbered by `id:`. One terminal event ends them: `end`, or `error` (also when it was cancelled). " +
          "Resumable by Last-Event-ID, as EventSource does by itself.",
        params: idParam,
        querystring: Type.Object(
          {
            last_event_id: Type.Optional(
              Type.String({
                pattern: eventNumber,
                description: `For clients that can't set headers. ${lastEventId}`,
                examples: ["12"],
              }),
            ),
          },
          { additionalProperties: false },
        ),
        headers: {
          type: "object",
          properties: {
            "Last-Event-ID": { type: "string", pattern: eventNumber, description: lastEventId, examples: ["12"] },
          },
        },
        response,
      },
    },
    (request, reply) => answerEvents(parts, request, reply),
  );
}

interface Request extends Pick<FastifyRequest, "headers" | "log"> {
  readonly params: { readonly id: string };
  readonly query: { readonly last_event_id?: string };
}

async function answerEvents(parts: RouteParts, request: Request, reply: FastifyReply): Promise<FastifyReply> {
  const sent = sentLastEventId(request);
  const count = (result: ResumeResult) => (sent === null ? undefined : parts.metrics.resumed(result));
  const after = sent ?? 0;
  const status = await counted(count, () => ownGeneration(parts, request, request.params.id));
  if (status.state === "ended" && after >= status.top) {
    count("ended");
    return reply.code(204).send(null);
  }
  await counted(count, async () => requireKept(status, after));
  const open = parts.lifetime.follow(reply.raw);
  count("resumed");
  reply.header("x-generation-id", status.record.id);
  try {
    await passOn(parts, { request, reply, open, status, after });
    return reply;
  } finally {
    open.end();
  }
}

interface Reading {
  readonly request: Request;
  readonly reply: FastifyReply;
  readonly open: OpenRequest;
  readonly status: LookupStatus;
  readonly after: number;
}

async function passOn(parts: RouteParts, { request, reply, open, status, after }: Reading): Promise<void> {
  const { record } = status;
  const stream = new SseStream(reply, parts.sse, parts.metrics);
  stream.retry(retryMs);
  try {
    for await (const entry of parts.generations.follow(record.id, after, open.signal)) {
      await stream.send(logEvent(record, entry));
    }
  } catch (thrown) {
    const error = toAppError(thrown);
    logError(error, request);
    await stream.send(lastWord(error));
  } finally {
    stream.end();
  }
}

// Not an event of the generation: without an id, so that a reader who comes back asks for what it did not see.
function lastWord(error: AppError): SseEvent {
  if (error.kind === "unavailable") return { event: "reconnect", data: {} };
  return { event: "error", data: errorBody(error) };
}

function sentLastEventId({ headers, query }: Request): number | null {
  const sent = headers["last-event-id"] ?? query.last_event_id;
  return sent === undefined ? null : Number(sent);
}

function requireKept({ top }: LookupStatus, after: number): void {
  if (after <= top) return;
  throw new AppError("log_lost", `the log ends at ${top}, before event ${after}: start a new generation`);
}

const results: Partial<Record<AppError["kind"], ResumeResult>> = {
  gone: "expired",
  log_lost: "log_lost",
  not_found: "unknown",
};

async function counted<T>(count: (result: ResumeResult) => void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const result = error instanceof AppError ? results[error.kind] : undefined;
    if (result !== undefined) count(result);
    throw error;
  }
}
