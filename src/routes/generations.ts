// From a checked request to running generations: one per input, all admitted or none.
import { AppError } from "../errors.js";
import type { EndEvent, GenerationEvent, Prepared } from "../generation.js";
import type { Inference } from "../inference/inference.js";
import type { Parameters } from "../parameters.js";
import type { GenerationQueue } from "../queue/queue.js";

export interface GenerateRequest {
  readonly texts: readonly string[];
  /** Whether the client sent an array: errors then name inputs[i], and the answer is an array. */
  readonly isList: boolean;
  readonly model: string | undefined;
  readonly parameters: Parameters;
  readonly priority?: number | undefined;
}

/** One input and what became of it. */
export interface Generation {
  readonly text: string;
  readonly prepared: Prepared;
}

/** Throws AppError "validation", naming inputs[i] when several were sent. */
export async function prepareAll(inference: Inference, request: GenerateRequest): Promise<Generation[]> {
  const { texts, model, parameters, isList, priority } = request;
  return Promise.all(
    texts.map(async (text, i) => {
      try {
        const prepared = await inference.prepare({
          inputs: text,
          parameters,
          ...(model === undefined ? {} : { model }),
          ...(priority === undefined ? {} : { priority }),
        });
        return { text, prepared };
      } catch (error) {
        throw isList ? atInput(error, i) : error;
      }
    }),
  );
}

/** Resolves with all iterators past "accepted", or throws (429, 503) after releasing those that got in. Call `closeAll` at the end. */
export async function admitAll(
  queue: Pick<GenerationQueue, "submit">,
  generations: readonly Generation[],
  signal: AbortSignal,
): Promise<AsyncIterator<GenerationEvent>[]> {
  const iterators = generations.map(({ prepared }) => queue.submit(prepared, signal)[Symbol.asyncIterator]());
  const first = await Promise.allSettled(iterators.map((iterator) => iterator.next()));
  const refusal = first.find((result) => result.status === "rejected");
  if (refusal === undefined) return iterators;
  await closeAll(iterators);
  throw refusal.reason;
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
  if (!(error instanceof AppError) || error.field !== "inputs") return error;
  const field = `inputs[${i}]`;
  return new AppError(error.kind, error.message.replace(/^inputs\b/u, field), { field, cause: error });
}
