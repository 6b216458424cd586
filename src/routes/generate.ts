// POST /generate and /generate_stream: the same generations, drained into JSON or passed on as events.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { GenerationEvent } from "../generation.js";
import { answer, endEvent, tokenEvent } from "./generate-answer.js";
import {
  EndEventSchema,
  GenerateRequestSchema,
  GenerationSchema,
  TokenEventSchema,
  type Answer,
  type GenerateBody,
} from "./generate-schemas.js";
import { errorBody, logError, toAppError } from "./errors.js";
import { admitAll, closeAll, ended, prepareAll, type GenerateRequest, type Generation } from "./generations.js";
import type { GenerationQueue } from "../queue/queue.js";
import type { OpenRequest } from "./lifetime.js";
import { merge, type Merged } from "./merge.js";
import { isOfReading } from "./durable-answer.js";
import { queueFor } from "./durable-start.js";
import { ownerOf } from "./owner.js";
import type { App, RouteParts } from "./parts.js";
import { readInTurns } from "./read-in-turns.js";
import { checkedInputs, checkedParameters } from "./request-rules.js";
import { AppError } from "../errors.js";
import { errorAnswers, keyed, ref } from "./schemas.js";
import { SseStream, type SseEvent } from "./sse.js";

const errors = errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504);
const events = { schema: { oneOf: [ref(TokenEventSchema), ref(EndEventSchema)] } };
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
        summary: "Generate text",
        description: "Streams when `stream` is true or the request accepts text/event-stream.",
        body,
        response: {
          200: { description: answers, content: { "application/json": json, "text/event-stream": events } },
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
        summary: "Generate text as server-sent events",
        body,
        response: {
          200: { description: "Events, one token each", content: { "text/event-stream": events } },
          ...errors,
        },
      },
    },
    (request, reply) => {
      if (request.body.stream === false) {
        throw new AppError("validation", "stream: this route always streams; use /generate", { field: "stream" });
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
  const owner = ownerOf(request.headers, parts.config.apiKeys);
  // A generation that continues is durable: its reader may leave without stopping it, and it keeps its place until it ends.
  const open = parts.lifetime.begin(reply.raw, false);
  let places: (() => void)[] = [];
  try {
    places = parts.openGenerations.enter(owner, asked.texts.length);
    const generations = await prepareAll(parts.inference, asked);
    reply.header("x-generation-id", generations.map(({ prepared }) => prepared.id).join(", "));
    const { priority, parameters } = asked;
    const queue = queueFor(parts, generations, { owner, places, priority, parameters });
    const run = { parts, queue, asked, generations, open };
    if (!streams) return await drained(run);
    await streamed(run, request, reply);
    return reply;
  } finally {
    for (const leave of places) leave();
    open.end();
  }
}

/** The parts of a running request that both kinds of answer need. */
interface Run {
  readonly parts: RouteParts;
  readonly queue: Pick<GenerationQueue, "submit">;
  readonly asked: GenerateRequest;
  readonly generations: readonly Generation[];
  readonly open: OpenRequest;
}

function checkedRequest({ config }: RouteParts, { body, span }: Request, streams: boolean): GenerateRequest {
  return {
    texts: checkedInputs(body.inputs, config.maxInputs),
    isList: typeof body.inputs !== "string",
    model: body.model ?? undefined,
    priority: body.priority ?? undefined,
    parameters: checkedParameters(body.parameters ?? undefined, { streams }),
    trace: span?.headers,
  };
}

async function drained({ parts, queue, asked, generations, open }: Run): Promise<Answer | Answer[]> {
  const { parameters, isList, model } = asked;
  const iterators = await admitAll(queue, generations, open.signal);
  const piece = (id: number) => parts.inference.detokenize(model, [id], false);
  try {
    const answers = await Promise.all(
      generations.map(async (generation, i) => {
        const iterator = iterators[i];
        if (iterator === undefined) throw new AppError("internal", "a generation without its events");
        return answer(generation, await ended(iterator), parameters, piece);
      }),
    );
    const [first] = answers;
    return isList || first === undefined ? answers : first;
  } catch (error) {
    open.abort(error);
    throw error;
  } finally {
    await closeAll(iterators);
  }
}

async function streamed(run: Run, request: Request, reply: FastifyReply): Promise<void> {
  const { parts, queue, generations, open } = run;
  const iterators = await admitAll(queue, generations, open.signal);
  const stream = new SseStream(reply, parts.sse, parts.metrics);
  let index = 1;
  try {
    for await (const merged of merge(iterators)) {
      const event = wireEvent(run, merged, index);
      if (event === null) continue;
      index += 1;
      await stream.send(event);
    }
  } catch (thrown) {
    const error = toAppError(thrown);
    logError(error, request);
    open.abort(error);
    const isDurable = run.queue !== parts.queue;
    const place = isDurable && isOfReading(error) ? {} : { id: index };
    await stream.send({ ...place, event: "error", data: errorBody(error) });
  } finally {
    stream.end();
    await closeAll(iterators);
  }
}

function wireEvent(
  { asked, generations }: Run,
  { input, event }: Merged<GenerationEvent>,
  index: number,
): SseEvent | null {
  const generation = generations[input];
  if (event.type === "accepted" || generation === undefined) return null;
  const place = { index, ...(asked.isList ? { input } : {}) };
  if (event.type === "token") return { id: index, data: tokenEvent(event, asked.parameters, place) };
  return { id: index, event: "end", data: endEvent(generation, event, asked.parameters, place) };
}
