// Starts generations that outlive their request: for POST /generations, and for /generate with on_disconnect "continue".
//
//   submit ──▶ generations.start ──▶ accepted ──▶ follow its log ──▶ tokens, end        the reader leaves: the generation goes on
import { AppError } from "../errors.js";
import { defaultPriority, type GenerationEvent, type Prepared } from "../generation.js";
import type { Parameters } from "../parameters.js";
import type { GenerationQueue } from "./queue.js";
import type { Generations } from "./generations.js";
import { eventsOf } from "./log/token-log.js";

/** What the generations of one request have in common. */
export interface Origin {
  readonly owner: string;
  readonly priority: number;
  readonly parameters: Parameters;
  readonly webhookUrl: string | null;
  /** Gives the function that frees the generation's place: called once it has ended, or did not start. */
  takePlace(): () => void;
}

interface Parts {
  readonly generations: Generations;
  readonly config: { readonly maxGenerationsPerKey: number | null };
}

/** A text and what it was prepared to. */
interface Generation {
  readonly text: string;
  readonly prepared: Prepared;
}

/** Resolves when it is admitted. Throws AppError "overloaded" or "unavailable". */
export async function startGeneration(parts: Parts, { text, prepared }: Generation, origin: Origin): Promise<void> {
  const { owner, priority, parameters, webhookUrl } = origin;
  const leave = origin.takePlace();
  const record = { id: prepared.id, owner, createdAt: Date.now(), priority, prepared, webhookUrl };
  try {
    await parts.generations.start({ ...record, request: { text, parameters } });
  } catch (error) {
    leave();
    throw error;
  }
  if (parts.config.maxGenerationsPerKey !== null) void leaveAtEnd(parts, prepared.id, leave);
}

/** A request of a surface that waits for its generations. */
export interface WaitingRequest {
  readonly owner: string;
  /** Those of openGenerations: a generation that outlives the request takes its own out and frees it at its end. */
  readonly places: (() => void)[];
  readonly priority: number | undefined;
  readonly parameters: Parameters;
}

/** Where a request's generations go: with on_disconnect "continue" to those that outlive it. */
export function queueFor(
  parts: Parts & { readonly queue: GenerationQueue },
  generations: readonly Generation[],
  { owner, places, priority = defaultPriority, parameters }: WaitingRequest,
): Pick<GenerationQueue, "submit"> {
  if (parameters.on_disconnect !== "continue") return parts.queue;
  const takePlace = () => places.pop() ?? (() => undefined);
  return generationsQueue(parts, generations, { owner, priority, parameters, webhookUrl: null, takePlace });
}

/** A queue whose generations go on when their reader leaves: only another input's failure stops them. */
function generationsQueue(
  parts: Parts,
  generations: readonly Generation[],
  origin: Origin,
): Pick<GenerationQueue, "submit"> {
  const texts = new Map(generations.map(({ prepared, text }) => [prepared.id, text]));
  return {
    submit: (prepared, signal) =>
      startAndFollow(parts, { prepared, text: texts.get(prepared.id) ?? "" }, { origin, signal }),
  };
}

async function* startAndFollow(
  parts: Parts,
  generation: Generation,
  { origin, signal }: { readonly origin: Origin; readonly signal: AbortSignal },
): AsyncGenerator<GenerationEvent, void, void> {
  const { generations } = parts;
  const { id } = generation.prepared;
  let isRead = false;
  await startGeneration(parts, generation, origin);
  try {
    for await (const event of eventsOf(generations.follow(id, 0, signal))) {
      yield event;
      isRead = true;
    }
  } finally {
    // Of several inputs another one was refused, or failed: they stand or fall together.
    if (!isRead || isFailure(signal)) await generations.cancel(id);
  }
}

function isFailure({ aborted, reason }: AbortSignal): boolean {
  return aborted && !(reason instanceof AppError && (reason.kind === "cancelled" || reason.kind === "unavailable"));
}

async function leaveAtEnd({ generations }: Parts, id: string, leave: () => void): Promise<void> {
  try {
    for await (const _ of generations.follow(id, 0, new AbortController().signal));
  } catch {
    // Expired, or its log is out of reach: it can't be counted any longer.
  } finally {
    leave();
  }
}
