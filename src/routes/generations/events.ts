// GET /generations/{id}/events: a generation's log as server-sent events. Any number of readers may start behind any event, again and again.
//
//   after = Last-Event-ID, or 0 ──▶ 204 nothing left · 410 expired or lost · else entries with seq > after … terminal one ──▶ end
//                                                     the server drains ──▶ event: reconnect ──▶ end
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { AppError } from "../../errors.js";
import type { ResumeResult } from "../../telemetry/metrics.js";
import { logEvent } from "./answer.js";
import { findOwnGeneration, unknownGeneration } from "./lookup.js";
import { ReconnectEventSchema, idParam } from "./schemas.js";
import { errorBody, logError, toAppError } from "../http/errors.js";
import { EndEventSchema, TokenEventSchema } from "../generate/schemas.js";
import type { OpenRequest } from "../http/lifetime.js";
import type { RouteParts } from "../route-parts.js";
import { errorAnswers, ErrorSchema, keyed, eventStream } from "../http/schemas.js";
import { SseStream, type SseEvent } from "../http/sse.js";
import type { App } from "../http/app.js";
import type { LookupStatus } from "../../queue/log/token-log.js";

/** Time after which EventSource comes back. */
const retryMs = 1000;

const seqPattern = "^[0-9]{1,15}$";
const afterDescription = "Number of the last event that was seen: those after it follow. The header wins.";
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
                pattern: seqPattern,
                description: `For clients that can't set headers. ${afterDescription}`,
                examples: ["12"],
              }),
            ),
          },
          { additionalProperties: false },
        ),
        headers: {
          type: "object",
          properties: {
            "Last-Event-ID": { type: "string", pattern: seqPattern, description: afterDescription, examples: ["12"] },
          },
        },
        response,
      },
    },
    (request, reply) => readEvents(parts, request, reply),
  );
}

interface Request extends Pick<FastifyRequest, "headers" | "log"> {
  readonly params: { readonly id: string };
  readonly query: { readonly last_event_id?: string };
}

async function readEvents(parts: RouteParts, request: Request, reply: FastifyReply): Promise<FastifyReply> {
  const sentAfter = readAfter(request);
  const count = (result: ResumeResult) => (sentAfter === null ? undefined : parts.metrics.resumed(result));
  const after = sentAfter ?? 0;
  const status = await countFailure(count, () => findOwnGeneration(parts, request, request.params.id));
  if (status.state === "ended" && after >= status.lastSeq) {
    count("ended");
    return reply.code(204).send(null);
  }
  await countFailure(count, async () => requireLogged(status, after));
  const open = parts.lifetime.follow(reply.raw);
  count("resumed");
  reply.header("x-generation-id", status.record.id);
  try {
    await streamLog(parts, { request, reply, open, status, after });
    return reply;
  } finally {
    open.end();
  }
}

interface LogReading {
  readonly request: Request;
  readonly reply: FastifyReply;
  readonly open: OpenRequest;
  readonly status: LookupStatus;
  readonly after: number;
}

async function streamLog(parts: RouteParts, { request, reply, open, status, after }: LogReading): Promise<void> {
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
    await stream.send(closingEvent(error));
  } finally {
    stream.end();
  }
}

// Not an event of the generation: without an id, so that a reader who comes back asks for what it did not see.
function closingEvent(error: AppError): SseEvent {
  if (error.kind === "unavailable") return { event: "reconnect", data: {} };
  return { event: "error", data: errorBody(error) };
}

/** The number of the last event that the client has; null when it sent none. */
function readAfter({ headers, query }: Request): number | null {
  const after = headers["last-event-id"] ?? query.last_event_id;
  return after === undefined ? null : Number(after);
}

function requireLogged({ lastSeq }: LookupStatus, after: number): void {
  if (after <= lastSeq) return;
  throw new AppError("log_lost", `the log ends at ${lastSeq}, before event ${after}: start a new generation`);
}

const resultOfKind: Partial<Record<AppError["kind"], ResumeResult>> = {
  gone: "expired",
  log_lost: "log_lost",
  not_found: "unknown",
};

async function countFailure<T>(count: (result: ResumeResult) => void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const result = error instanceof AppError ? resultOfKind[error.kind] : undefined;
    if (result !== undefined) count(result);
    throw error;
  }
}
