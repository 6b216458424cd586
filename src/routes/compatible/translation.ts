// What every compatible surface does with a request: prepare its rows, and put what comes of them into its own shapes. run.ts does the rest.
// A surface is a Translation: its own fields in, its own shapes out. It decides nothing.
import type { FastifyReply } from "fastify";
import { AppError } from "../../errors.js";
import type { EndEvent, TokenEvent, TraceHeaders } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import { prepareAll, type Generation } from "../generate/prepare.js";
import type { RouteParts } from "../route-parts.js";
import {
  finished,
  running,
  sendEvents,
  type EventForm,
  type Exchange,
  type Finished,
  type Place,
} from "../generate/run.js";

/** One text and what is asked of it. All rows of a request are decoded together. */
export interface Row {
  readonly text: string;
  readonly parameters: Parameters;
  /** Where rows go to different models. */
  readonly model?: string;
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
  const { rows, streams } = translation;
  const parameters = rows[0]?.parameters ?? {};
  const prepare = () => preparedRows(parts, translation, exchange.request.span?.headers);
  return running(parts, exchange, { count: rows.length, parameters, prepare }, async (run) => {
    if (streams) return sendEvents(parts, exchange, run, formOf(translation));
    return translation.answer(await finished(run));
  });
}

async function preparedRows(
  { inference }: RouteParts,
  { rows, model, streams }: Translation,
  trace: TraceHeaders | undefined,
): Promise<Generation[]> {
  const prepared = rows.map(async (row, i) => {
    const { text, parameters } = row;
    try {
      const one = { texts: [text], isList: false, model: row.model ?? model };
      const asked = { ...one, parameters, readsWhole: !streams, trace };
      return await prepareAll(inference, asked);
    } catch (error) {
      throw rows.length === 1 ? error : renamed(error, (field) => (field === "inputs" ? `inputs[${i}]` : field));
    }
  });
  return (await Promise.all(prepared)).flat();
}

function formOf(translation: Translation): EventForm {
  const asData = (items: readonly unknown[]) => items.map((data) => ({ data }));
  return {
    event: (event, place) =>
      asData(event.type === "token" ? translation.token(event, place) : translation.end(event, place)),
    closing: (all) => asData(translation.closing(all)),
    error: (error) => ({ data: translation.error(error) }),
    endsWithDone: translation.endsWithDone,
  };
}

/** The same error about the field as the client wrote it. */
export function renamed(error: unknown, rename: (field: string) => string): unknown {
  return error instanceof AppError ? error.renamed(rename) : error;
}
