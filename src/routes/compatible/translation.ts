// What every compatible surface does with a request: prepare its rows, and put what comes of them into its own shapes. generate/run.ts does the rest.
// A surface is a Translation: its own fields in, its own shapes out. It decides nothing.
import type { FastifyReply } from "fastify";
import { AppError } from "../../errors.js";
import type { EndEvent, TokenEvent, TraceHeaders } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import { inputField, type GenerateRequest } from "../generate/prepare.js";
import type { RouteParts } from "../route-parts.js";
import {
  readToEnd,
  streamEvents,
  withGenerations,
  type EventContext,
  type EventFormat,
  type Exchange,
  type FinishedGeneration,
} from "../generate/run.js";

/** One text and what is asked of it. All rows of a request are decoded together. */
export interface Row {
  readonly text: string;
  readonly parameters: Parameters;
  /** Where rows go to different models. */
  readonly model?: string;
}

/** A wire shape over existing generations. What it returns is sent as it is. */
export interface Translation {
  readonly model: string | undefined;
  readonly rows: readonly Row[];
  answer(finished: readonly FinishedGeneration[]): unknown;
}

/** One that can also stream: what its methods return is the data of events. */
export interface StreamingTranslation extends Translation {
  /** Whether this request is answered with a stream. */
  readonly streams: boolean;
  token(event: TokenEvent, context: EventContext): readonly unknown[];
  end(event: EndEvent, context: EventContext): readonly unknown[];
  /** After the last row's end. */
  closing(finished: readonly FinishedGeneration[]): readonly unknown[];
  error(error: AppError): unknown;
  /** Whether a stream ends with OpenAI's [DONE]. */
  readonly endsWithDone: boolean;
}

/** Answers a request. `rename` gives our name of a field the client's: parameters.max_new_tokens → max_tokens. */
export async function serve(
  parts: RouteParts,
  exchange: Exchange,
  rename: (field: string) => string,
  read: () => Translation | StreamingTranslation,
): Promise<FastifyReply> {
  const { request, reply } = exchange;
  try {
    const translation = read();
    const requests = requestsOf(translation, request.span?.headers);
    if (isStreamed(translation)) {
      const format = eventFormat(translation);
      await withGenerations(parts, exchange, requests, (prepared) => streamEvents(parts, exchange, prepared, format));
      return reply;
    }
    const finished = await withGenerations(parts, exchange, requests, readToEnd);
    return reply.send(translation.answer(finished));
  } catch (error) {
    throw renameFields(error, rename);
  }
}

function isStreamed(translation: Translation | StreamingTranslation): translation is StreamingTranslation {
  return "streams" in translation && translation.streams;
}

function requestsOf(translation: Translation, trace: TraceHeaders | undefined): GenerateRequest[] {
  const { rows, model } = translation;
  const readsWhole = !isStreamed(translation);
  return rows.map((row, i) => ({ model, ...row, field: inputField(rows.length > 1, i), readsWhole, trace }));
}

function eventFormat(translation: StreamingTranslation): EventFormat {
  const asData = (items: readonly unknown[]) => items.map((data) => ({ data }));
  return {
    event: (event, context) =>
      asData(event.type === "token" ? translation.token(event, context) : translation.end(event, context)),
    closing: (finished) => asData(translation.closing(finished)),
    error: (error) => ({ data: translation.error(error) }),
    endsWithDone: translation.endsWithDone,
  };
}

/** The same error about the field as the client wrote it. */
export function renameFields(error: unknown, rename: (field: string) => string): unknown {
  return error instanceof AppError ? error.renamed(rename) : error;
}
