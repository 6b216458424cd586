// One generation from nothing, or from where another worker (killed, drained) stopped: the same code, since nothing is an empty log.
//
//   greedy, samples   the engine is given the resumed ids and chooses what follows them
//   beams, scores     searched again, each token compared with the log; where they differ, once more with the resumed ids forced
import { AppError } from "../../errors.js";
import type { GenerationEvent, Prepared, TokenEvent } from "../../generation.js";
import type { SubmitSpec } from "../host/engine-host.js";
import type { EngineEnd } from "../protocol/engine-protocol.js";
import { Contradiction, ResumedTokens } from "./resumed-tokens.js";
import type { ModelSlot } from "../catalog/model-slot.js";
import { Transcript } from "./transcript.js";

/** Called when an engine has run a sequence to its end; `startedAt` is when it was asked to, in milliseconds since the epoch. */
export type OnRan = (prepared: Prepared, end: Extract<EngineEnd, { ok: true }>, startedAt: number) => void;

type Events = AsyncGenerator<GenerationEvent, void, void>;

interface Generation {
  readonly slot: ModelSlot;
  readonly prepared: Prepared;
  readonly resumed: ResumedTokens;
  readonly newTranscript: () => Transcript;
  /** By performance.now(). */
  readonly startedMs: number;
  readonly signal: AbortSignal;
  readonly onRan: OnRan;
}

/** Yields what follows `log`, the token events that somebody may have seen: together exactly what an undisturbed run yields. */
export async function* generateFrom(
  slot: ModelSlot,
  prepared: Prepared,
  log: readonly TokenEvent[],
  signal: AbortSignal,
  onRan: OnRan = () => undefined,
): Events {
  const startedMs = performance.now();
  const resumed = new ResumedTokens(log, prepared);
  const { target } = slot.model;
  const newTranscript = () => new Transcript(prepared, target, resumed);
  const generation = { slot, prepared, resumed, newTranscript, startedMs, signal, onRan };
  const isSearchedAgain = prepared.decoding.numBeams > 1 || prepared.scored !== undefined;
  try {
    yield* attempt(generation, isSearchedAgain ? [] : resumed.ids);
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error;
    yield* attempt(generation, resumed.ids);
  }
}

/**
 * Runs the sequence once; `beginnings` are the ids that its outputs begin with, whatever the model would choose. Tokens come up from the engine,
 * and one word goes back down: stop strings are found in the text, so the engine learns from here that it may finish.
 */
async function* attempt(generation: Generation, beginnings: readonly (readonly number[])[]): Events {
  const { slot, prepared, resumed, newTranscript, startedMs, signal, onRan } = generation;
  const transcript = newTranscript();
  let isFinishing = false;
  slot.acquire();
  try {
    const engines = await slot.engines(signal);
    const run = engines.submit(sequenceOf(prepared, resumed, beginnings), signal);
    for await (const event of run.events) {
      if (event.type === "end") {
        const totalMs = performance.now() - startedMs;
        onRan(prepared, event.end, Date.now() - totalMs);
        return yield* transcript.end(event.end, totalMs);
      }
      yield* transcript.take(event.output, event.token);
      if (!transcript.isStopped || isFinishing) continue;
      isFinishing = true;
      run.finish();
    }
  } catch (error) {
    if (!isLate(error) || !resumed.hasGenerated) throw error;
    yield* endWithResumed(generation);
  } finally {
    slot.release();
  }
}

function sequenceOf(
  prepared: Prepared,
  resumed: ResumedTokens,
  beginnings: readonly (readonly number[])[],
): SubmitSpec {
  const { sourceIds, decoding, wantLogprobs, topN, wantAttention, deadlineAt, priority, scored } = prepared;
  return {
    sourceIds,
    decoding,
    wantLogprobs,
    topN,
    wantAttention,
    deadlineAt,
    priority,
    resumedIds: beginnings,
    resumedTokens: resumed.ids.flat().length,
    ...(scored === undefined ? {} : { scored }),
  };
}

/** The engine refuses what is past its deadline before the first token. */
function isLate(error: unknown): boolean {
  return error instanceof AppError && error.kind === "deadline";
}

/** The deadline passed between two workers: the answer is what the first of them had generated. */
function* endWithResumed({ resumed, newTranscript, startedMs }: Generation): Generator<GenerationEvent> {
  const outputs = resumed.ids.map(() => ({ tokens: [], score: null, finishReason: "deadline" as const }));
  const timings = { queueMs: 0, encodeMs: 0, decodeMs: 0 };
  yield* newTranscript().end({ outputs, timings }, performance.now() - startedMs);
}
