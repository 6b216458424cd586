// Runs the checked texts of a request, whatever its wire shape: takes places, prepares, submits, then reads to the end or streams.
//
//   withGenerations: places ─▶ prepare ─▶ queue (durable or not) ─▶ work ─┬▶ readToEnd: for one answer
//                                                                         └▶ streamEvents: as they come
// Wire shapes are in answer.ts (/generate) and compatible/ (the other surfaces).
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../errors.js";
import type { EndEvent, GenerationEvent, Prepared, TokenEvent } from "../../generation.js";
import type { GenerationQueue } from "../../queue/queue.js";
import { queueFor } from "../../queue/start-generation.js";
import { logError, toAppError } from "../http/errors.js";
import { requestOwner } from "../http/hooks.js";
import type { OpenRequest } from "../http/lifetime.js";
import { SseStream, type SseEvent } from "../http/sse.js";
import type { RouteParts } from "../route-parts.js";
import { merge } from "./merge.js";
import { prepareGeneration, type GenerateRequest, type Generation } from "./prepare.js";
import { joinSentences } from "./sentences.js";

/** One HTTP request and its answer. */
export interface Exchange {
  readonly request: Pick<FastifyRequest, "log" | "headers" | "span">;
  readonly reply: FastifyReply;
}

/** A request whose generations can be submitted. */
export interface PreparedRequest {
  readonly queue: Pick<GenerationQueue, "submit">;
  readonly generations: readonly Generation[];
  readonly open: OpenRequest;
}

export interface FinishedGeneration {
  readonly generation: Generation;
  readonly end: EndEvent;
}

/** Where an event of a stream comes from, and its number. */
export interface EventContext {
  /** Which of the request's texts. */
  readonly row: number;
  readonly generation: Generation;
  /** Of the first of the events it becomes; from 1, over all rows. */
  readonly index: number;
}

/** What a surface makes of a stream's events. */
export interface EventFormat {
  event(event: TokenEvent | EndEvent, context: EventContext): readonly SseEvent[];
  /** After the last row's end. */
  closing(finished: readonly FinishedGeneration[]): readonly SseEvent[];
  /** `index` is the next event's. */
  error(error: AppError, index: number): SseEvent;
  /** Whether a stream ends with OpenAI's [DONE]. */
  readonly endsWithDone: boolean;
}

/**
 * Prepares one generation for each of `requests` and gives them to `work`; its places and the request end with it, whatever happens.
 * on_disconnect and priority are said once: those of the first hold for all.
 */
export async function withGenerations<T>(
  parts: RouteParts,
  { request, reply }: Exchange,
  requests: readonly GenerateRequest[],
  work: (prepared: PreparedRequest) => Promise<T>,
): Promise<T> {
  const owner = requestOwner(request.headers, parts.config.apiKeys);
  // A generation that continues is durable: its reader may leave without stopping it, and it keeps its place until it ends.
  const open = parts.lifetime.begin(reply.raw, false);
  let places: (() => void)[] = [];
  try {
    places = parts.openGenerations.enter(owner, requests.length);
    const generations = await Promise.all(requests.map((one) => prepareGeneration(parts.inference, one)));
    reply.header("x-generation-id", generations.map(({ prepared }) => prepared.id).join(", "));
    const { parameters = {}, priority } = requests[0] ?? {};
    const queue = queueFor(parts, generations, { owner, places, priority, parameters });
    return await work({ queue, generations, open });
  } finally {
    for (const leave of places) leave();
    open.end();
  }
}

/** Reads all generations to their ends. When one fails the others are stopped. */
export async function readToEnd({ queue, generations, open }: PreparedRequest): Promise<FinishedGeneration[]> {
  const iterators = await submitAll(queue, generations, open.signal);
  try {
    return withEnds(generations, await Promise.all(iterators.map(readEnd)));
  } catch (error) {
    open.abort(error);
    throw error;
  } finally {
    await closeAll(iterators);
  }
}

/** Writes the events of all generations in the order they come. What fails from here on is an event too. */
export async function streamEvents(
  parts: RouteParts,
  { request, reply }: Exchange,
  { queue, generations, open }: PreparedRequest,
  format: EventFormat,
): Promise<void> {
  const iterators = await submitAll(queue, generations, open.signal);
  const stream = new SseStream(reply, parts.sse, parts.metrics);
  const send = async (events: readonly SseEvent[]) => {
    for (const event of events) await stream.send(event);
  };
  const ends: EndEvent[] = [];
  let index = 1;
  try {
    for await (const { input: row, event } of merge(iterators)) {
      const generation = generations[row];
      if (event.type === "accepted" || generation === undefined) continue;
      if (event.type === "end") ends[row] = event;
      const events = format.event(event, { row, index, generation });
      index += events.length;
      await send(events);
    }
    await send(format.closing(withEnds(generations, ends)));
    if (format.endsWithDone) stream.done();
  } catch (thrown) {
    const error = toAppError(thrown);
    logError(error, request);
    open.abort(error);
    await stream.send(format.error(error, index));
  } finally {
    stream.end();
    await closeAll(iterators);
  }
}

type Events = AsyncIterator<GenerationEvent>;

/** Resolves with an iterator for each generation, past "accepted", or throws (429, 503) after releasing those that got in. */
export async function submitAll(
  queue: Pick<GenerationQueue, "submit">,
  generations: readonly Generation[],
  signal: AbortSignal,
): Promise<Events[]> {
  const submit = (prepared: Prepared) => queue.submit(prepared, signal)[Symbol.asyncIterator]();
  const rows = generations.map(({ prepared, rest = [] }) => [prepared, ...rest.map((one) => one.prepared)].map(submit));
  const iterators = rows.flat();
  const first = await Promise.allSettled(iterators.map((iterator) => iterator.next()));
  const refusal = first.find((result) => result.status === "rejected");
  if (refusal === undefined) return generations.flatMap((generation, i) => joinRow(generation, rows[i] ?? []));
  await closeAll(iterators);
  throw refusal.reason;
}

function joinRow({ rest }: Generation, rows: readonly Events[]): readonly Events[] {
  return rest === undefined ? rows : [joinSentences(rows, ["", ...rest.map(({ before }) => before)])];
}

/** Releases what is still open; those that wait for an event need their signal aborted first. */
export async function closeAll(iterators: readonly Events[]): Promise<void> {
  await Promise.allSettled(iterators.map((iterator) => iterator.return?.()));
}

/** Reads a generation to its end. */
export async function readEnd(iterator: Events): Promise<EndEvent> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    if (next.value.type === "end") return next.value;
  }
  throw new AppError("internal", "the generation ended without a result");
}

function withEnds(generations: readonly Generation[], ends: readonly EndEvent[]): FinishedGeneration[] {
  return generations.map((generation, i) => {
    const end = ends[i];
    if (end === undefined) throw new AppError("internal", "a generation without its end");
    return { generation, end };
  });
}
