// What every compatible surface does with a request: prepare its rows, admit all or none, write the end as JSON or the events as they come.
// A surface is a Translation: its own fields in, its own shapes out. It decides nothing.
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../errors.js";
import type { EndEvent, GenerationEvent, TokenEvent, TraceHeaders } from "../generation.js";
import type { Parameters } from "../parameters.js";
import { logError, toAppError } from "./errors.js";
import { admitAll, closeAll, ended, prepareAll, type Generation } from "./generations.js";
import type { OpenRequest } from "./lifetime.js";
import { merge, type Merged } from "./merge.js";
import { ownerOf } from "./owner.js";
import type { RouteParts } from "./parts.js";
import { SseStream } from "./sse.js";

/** One text and what is asked of it. All rows of a request are decoded together. */
export interface Row {
  readonly text: string;
  readonly parameters: Parameters;
  /** Where rows go to different models. */
  readonly model?: string;
}

export interface Finished {
  readonly generation: Generation;
  readonly end: EndEvent;
}

/** Where an event of a stream stands. */
export interface Place {
  readonly row: number;
  /** From 1, over all rows. */
  readonly index: number;
  readonly generation: Generation;
}

/** A wire shape over existing generations. What it returns is sent as it is: an answer, or the data of events. */
export interface Translation {
  readonly model: string | undefined;
  readonly rows: readonly Row[];
  readonly streams: boolean;
  answer(finished: readonly Finished[]): unknown;
  token(event: TokenEvent, place: Place): readonly unknown[];
  end(event: EndEvent, place: Place): readonly unknown[];
  /** After the last row's end. */
  closing(finished: readonly Finished[]): readonly unknown[];
  error(error: AppError): unknown;
  /** Whether a stream ends with OpenAI's [DONE]. */
  readonly endsWithDone: boolean;
}

export interface Exchange {
  readonly request: Pick<FastifyRequest, "log" | "headers" | "span">;
  readonly reply: FastifyReply;
}

interface Run {
  readonly parts: RouteParts;
  readonly translation: Translation;
  readonly generations: readonly Generation[];
  readonly open: OpenRequest;
}

/** Answers a request. `rename` gives our name of a field the client's: parameters.max_new_tokens → max_tokens. */
export async function serve(
  parts: RouteParts,
  exchange: Exchange,
  rename: (field: string) => string,
  read: () => Translation,
): Promise<FastifyReply> {
  const { reply } = exchange;
  try {
    const translation = read();
    const answer = await answered(parts, exchange, translation);
    return translation.streams ? reply : reply.send(answer);
  } catch (error) {
    throw renamed(error, rename);
  }
}

async function answered(parts: RouteParts, exchange: Exchange, translation: Translation): Promise<unknown> {
  const { request, reply } = exchange;
  const continues = translation.rows.every(({ parameters }) => parameters.on_disconnect === "continue");
  const open = parts.lifetime.begin(reply.raw, continues);
  let places: (() => void)[] = [];
  try {
    places = parts.openGenerations.enter(ownerOf(request.headers, parts.config.apiKeys), translation.rows.length);
    const generations = await preparedRows(parts, translation, request.span?.headers);
    reply.header("x-generation-id", generations.map(({ prepared }) => prepared.id).join(", "));
    const run = { parts, translation, generations, open };
    if (!translation.streams) return await drained(run);
    return await streamed(run, exchange);
  } finally {
    for (const leave of places) leave();
    open.end();
  }
}

async function preparedRows(
  { inference }: RouteParts,
  { rows, model }: Translation,
  trace: TraceHeaders | undefined,
): Promise<Generation[]> {
  const prepared = rows.map(async (row, i) => {
    const { text, parameters } = row;
    try {
      const asked = { texts: [text], isList: false, model: row.model ?? model, parameters, trace };
      return await prepareAll(inference, asked);
    } catch (error) {
      throw rows.length === 1 ? error : renamed(error, (field) => (field === "inputs" ? `inputs[${i}]` : field));
    }
  });
  return (await Promise.all(prepared)).flat();
}

async function drained({ parts, translation, generations, open }: Run): Promise<unknown> {
  const iterators = await admitAll(parts.queue, generations, open.signal);
  try {
    const ends = await Promise.all(iterators.map(ended));
    return translation.answer(finishedRows(generations, ends));
  } catch (error) {
    open.abort(error);
    throw error;
  } finally {
    await closeAll(iterators);
  }
}

async function streamed({ parts, translation, generations, open }: Run, { request, reply }: Exchange): Promise<void> {
  const iterators = await admitAll(parts.queue, generations, open.signal);
  const stream = new SseStream(reply, parts.sse, parts.metrics);
  const ends: EndEvent[] = [];
  let index = 1;
  const send = async (items: readonly unknown[]) => {
    for (const data of items) await stream.send({ data });
  };
  try {
    for await (const { input, event } of merge(iterators)) {
      if (event.type === "end") ends[input] = event;
      const items = written(translation, generations, { input, event }, index);
      index += items.length;
      await send(items);
    }
    await send(translation.closing(finishedRows(generations, ends)));
    if (translation.endsWithDone) stream.done();
  } catch (thrown) {
    const error = toAppError(thrown);
    logError(error, request);
    open.abort(error);
    await send([translation.error(error)]);
  } finally {
    stream.end();
    await closeAll(iterators);
  }
}

function written(
  translation: Translation,
  generations: readonly Generation[],
  { input: row, event }: Merged<GenerationEvent>,
  index: number,
): readonly unknown[] {
  const generation = generations[row];
  if (event.type === "accepted" || generation === undefined) return [];
  const place = { row, index, generation };
  return event.type === "token" ? translation.token(event, place) : translation.end(event, place);
}

function finishedRows(generations: readonly Generation[], ends: readonly EndEvent[]): Finished[] {
  return generations.map((generation, i) => {
    const end = ends[i];
    if (end === undefined) throw new AppError("internal", "a generation without its end");
    return { generation, end };
  });
}

/** The same error about the field as the client wrote it. */
export function renamed(error: unknown, rename: (field: string) => string): unknown {
  if (!(error instanceof AppError) || error.field === undefined) return error;
  const field = rename(error.field);
  if (field === error.field) return error;
  const { kind, message, retryAfterSeconds } = error;
  const rest = message.startsWith(error.field) ? message.slice(error.field.length) : null;
  // Advice in it names other fields.
  const told = (rest ?? message).replaceAll(/\bparameters\.\w+/gu, rename);
  return new AppError(kind, rest === null ? told : field + told, {
    field,
    cause: error,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}
