// From a checked request to running generations: one per input (several for one that is split into sentences), all admitted or none.
import { AppError } from "../../errors.js";
import type { EndEvent, GenerationEvent, GenerationRequest, Prepared, TraceHeaders } from "../../generation.js";
import type { Inference } from "../../inference/inference.js";
import type { Parameters } from "../../parameters.js";
import type { GenerationQueue } from "../../queue/queue.js";
import { sentencesOf, type Sentence, joined } from "./sentences.js";

export interface GenerateRequest {
  readonly texts: readonly string[];
  /** Whether the client sent an array: errors then name inputs[i], and the answer is an array. */
  readonly isList: boolean;
  readonly model: string | undefined;
  readonly parameters: Parameters;
  readonly priority?: number | undefined;
  /** It is answered with one JSON text. */
  readonly readsWhole?: boolean;
  readonly trace: TraceHeaders | undefined;
}

/** One input and what became of it. */
export interface Generation {
  readonly text: string;
  readonly prepared: Prepared;
  /** Where the text was split: the sentences after the one in `prepared`, which belong to the same answer. */
  readonly rest?: readonly PreparedSentence[];
}

export interface PreparedSentence {
  /** White space before it. */
  readonly before: string;
  readonly prepared: Prepared;
}

/** Throws AppError "validation", naming inputs[i] when several were sent. */
export async function prepareAll(inference: Inference, request: GenerateRequest): Promise<Generation[]> {
  const { texts, isList } = request;
  return Promise.all(
    texts.map(async (text, i) => {
      try {
        return await prepareOne(inference, request, text);
      } catch (error) {
        throw isList ? atInput(error, i) : error;
      }
    }),
  );
}

async function prepareOne(inference: Inference, request: GenerateRequest, text: string): Promise<Generation> {
  const { parameters } = request;
  try {
    return { text, prepared: await inference.prepare({ inputs: text, parameters, ...chosen(request) }) };
  } catch (error) {
    const sentences = parameters.split !== undefined && isAboutText(error) ? sentencesOf(text) : [];
    const [first, ...others] = sentences;
    if (first === undefined || others.length === 0) throw error;
    return prepareSentences(inference, request, text, sentences);
  }
}

// One seed for all: what the first drew, so that the seed that is reported repeats the whole text.
async function prepareSentences(
  inference: Inference,
  request: GenerateRequest,
  text: string,
  [first, ...others]: readonly Sentence[],
): Promise<Generation> {
  const named = chosen(request);
  const single = { ...request.parameters, num_return_sequences: 1 };
  const prepared = await prepareSentence(inference, { inputs: first?.text ?? "", parameters: single, ...named }, 0);
  const seeded = { ...single, seed: prepared.decoding.seed };
  const rest = others.map(async ({ before, text: inputs }, i) => {
    return { before, prepared: await prepareSentence(inference, { inputs, parameters: seeded, ...named }, i + 1) };
  });
  return { text, prepared, rest: await Promise.all(rest) };
}

type Chosen = Pick<GenerationRequest, "model" | "priority" | "readsWhole" | "trace">;

function chosen({ model, priority, readsWhole = false, trace }: GenerateRequest): Chosen {
  return {
    ...(model === undefined ? {} : { model }),
    ...(priority === undefined ? {} : { priority }),
    ...(trace === undefined ? {} : { trace }),
    readsWhole,
  };
}

async function prepareSentence(inference: Inference, request: GenerationRequest, i: number): Promise<Prepared> {
  try {
    return await inference.prepare(request);
  } catch (error) {
    if (!isAboutText(error)) throw error;
    // Without its advice: what would help the whole text is no help for one sentence.
    throw new AppError("validation", `sentence ${i + 1}: ${error.reason}`, { field: "inputs", cause: error });
  }
}

function isAboutText(error: unknown): error is AppError {
  return error instanceof AppError && error.kind === "validation" && error.field === "inputs";
}

/** Resolves with all iterators past "accepted", or throws (429, 503) after releasing those that got in. Call `closeAll` at the end. */
export async function admitAll(
  queue: Pick<GenerationQueue, "submit">,
  generations: readonly Generation[],
  signal: AbortSignal,
): Promise<AsyncIterator<GenerationEvent>[]> {
  const submit = (prepared: Prepared) => queue.submit(prepared, signal)[Symbol.asyncIterator]();
  const rows = generations.map(({ prepared, rest = [] }) => [prepared, ...rest.map((one) => one.prepared)].map(submit));
  const iterators = rows.flat();
  const first = await Promise.allSettled(iterators.map((iterator) => iterator.next()));
  const refusal = first.find((result) => result.status === "rejected");
  if (refusal === undefined) return generations.flatMap((generation, i) => asOne(generation, rows[i] ?? []));
  await closeAll(iterators);
  throw refusal.reason;
}

function asOne({ rest }: Generation, rows: readonly AsyncIterator<GenerationEvent>[]) {
  return rest === undefined ? rows : [joined(rows, ["", ...rest.map(({ before }) => before)])];
}

/** Releases what is still open; those that wait for an event need their signal aborted first. */
export async function closeAll(iterators: readonly AsyncIterator<GenerationEvent>[]): Promise<void> {
  await Promise.allSettled(iterators.map((iterator) => iterator.return?.()));
}

/** Reads a generation to its end. */
export async function ended(iterator: AsyncIterator<GenerationEvent>): Promise<EndEvent> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    if (next.value.type === "end") return next.value;
  }
  throw new AppError("internal", "the generation ended without a result");
}

function atInput(error: unknown, i: number): unknown {
  return error instanceof AppError ? error.renamed((field) => (field === "inputs" ? `inputs[${i}]` : field)) : error;
}
