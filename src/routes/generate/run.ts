// The way of every request that waits for its generations, whatever its wire shape: serve.ts and generate.ts say what goes in and what comes out.
//
//   places ─▶ prepare ─▶ queue: durable or not ─▶ admit all or none ─┬▶ finished: read to the end, for one answer
//                                                                    └▶ sendEvents: as they come
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../errors.js";
import type { EndEvent, TokenEvent } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import type { GenerationQueue } from "../../queue/queue.js";
import { queueFor } from "../../queue/start-generation.js";
import { logError, toAppError } from "../http/errors.js";
import { admitAll, closeAll, ended, type Generation } from "./prepare.js";
import type { OpenRequest } from "../http/lifetime.js";
import { merge } from "./merge.js";
import type { RouteParts } from "../route-parts.js";
import { SseStream, type SseEvent } from "../http/sse.js";
import { ownerOf } from "../http/hooks.js";

export interface Exchange {
  readonly request: Pick<FastifyRequest, "log" | "headers" | "span">;
  readonly reply: FastifyReply;
}

export interface Asked {
  /** Generations, each of which takes one of its key's places. */
  readonly count: number;
  /** What holds for all of them: on_disconnect is said once. */
  readonly parameters: Parameters;
  readonly priority?: number | undefined;
  prepare(): Promise<Generation[]>;
}

export interface Run {
  readonly queue: Pick<GenerationQueue, "submit">;
  readonly generations: readonly Generation[];
  readonly open: OpenRequest;
}

export interface Finished {
  readonly generation: Generation;
  readonly end: EndEvent;
}

/** Where an event of a stream stands. */
export interface Place {
  readonly row: number;
  /** Of the first of the events it becomes; from 1, over all rows. */
  readonly index: number;
  readonly generation: Generation;
}

/** What a surface makes of a stream's events. */
export interface EventForm {
  event(event: TokenEvent | EndEvent, place: Place): readonly SseEvent[];
  /** After the last row's end. */
  closing(finished: readonly Finished[]): readonly SseEvent[];
  /** `index` is the next event's. */
  error(error: AppError, index: number): SseEvent;
  /** Whether a stream ends with OpenAI's [DONE]. */
  readonly endsWithDone: boolean;
}

/** From a checked request to its prepared generations; whatever `work` does, places and the request end with it. */
export async function running<T>(
  parts: RouteParts,
  { request, reply }: Exchange,
  { count, parameters, priority, prepare }: Asked,
  work: (run: Run) => Promise<T>,
): Promise<T> {
  const owner = ownerOf(request.headers, parts.config.apiKeys);
  // A generation that continues is durable: its reader may leave without stopping it, and it keeps its place until it ends.
  const open = parts.lifetime.begin(reply.raw, false);
  let places: (() => void)[] = [];
  try {
    places = parts.openGenerations.enter(owner, count);
    const generations = await prepare();
    reply.header("x-generation-id", generations.map(({ prepared }) => prepared.id).join(", "));
    const queue = queueFor(parts, generations, { owner, places, priority, parameters });
    return await work({ queue, generations, open });
  } finally {
    for (const leave of places) leave();
    open.end();
  }
}

/** Reads all generations to their ends. When one fails the others are stopped. */
export async function finished({ queue, generations, open }: Run): Promise<Finished[]> {
  const iterators = await admitAll(queue, generations, open.signal);
  try {
    return withEnds(generations, await Promise.all(iterators.map(ended)));
  } catch (error) {
    open.abort(error);
    throw error;
  } finally {
    await closeAll(iterators);
  }
}

/** Writes the events of all generations in the order they come. What fails from here on is an event too. */
export async function sendEvents(
  parts: RouteParts,
  { request, reply }: Exchange,
  { queue, generations, open }: Run,
  form: EventForm,
): Promise<void> {
  const iterators = await admitAll(queue, generations, open.signal);
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
      const events = form.event(event, { row, index, generation });
      index += events.length;
      await send(events);
    }
    await send(form.closing(withEnds(generations, ends)));
    if (form.endsWithDone) stream.done();
  } catch (thrown) {
    const error = toAppError(thrown);
    logError(error, request);
    open.abort(error);
    await stream.send(form.error(error, index));
  } finally {
    stream.end();
    await closeAll(iterators);
  }
}

function withEnds(generations: readonly Generation[], ends: readonly EndEvent[]): Finished[] {
  return generations.map((generation, i) => {
    const end = ends[i];
    if (end === undefined) throw new AppError("internal", "a generation without its end");
    return { generation, end };
  });
}
