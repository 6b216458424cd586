// One generation from nothing, or from where another worker (killed, drained) stopped: the same code, since nothing is an empty log.
//
//   greedy, samples   logged ids are walked over ─▶ chosen on behind them
//   beams, scores     searched again, each token held against the log ─▶ on behind it; where they differ: again, the logged ids forced
import { AppError } from "../../errors.js";
import type { GenerationEvent, Prepared, TokenEvent } from "../../generation.js";
import type { EngineRun, SubmitSpec } from "../host/engine-host.js";
import type { EngineEnd } from "../protocol/engine-protocol.js";
import { Contradiction, LoggedTokens } from "./logged-tokens.js";
import type { ModelSlot } from "../catalog/model-slot.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { Transcript } from "./transcript.js";

/** Told once an engine has run a sequence to its end; `startedAt` is when it was asked to, in milliseconds since the epoch. */
export type OnRan = (prepared: Prepared, end: Extract<EngineEnd, { ok: true }>, startedAt: number) => void;

type Events = AsyncGenerator<GenerationEvent, void, void>;

/** Yields what follows `logged`, the token events that somebody may have seen: with them exactly what an undisturbed run yields. */
export async function* goOn(
  slot: ModelSlot,
  prepared: Prepared,
  logged: readonly TokenEvent[],
  signal: AbortSignal,
  onRan: OnRan = () => undefined,
): Events {
  const started = performance.now();
  const log = new LoggedTokens(logged, prepared);
  const going = { slot, target: slot.model.target, prepared, log, started, signal, onRan };
  const isSearchedAgain = prepared.decoding.numBeams > 1 || prepared.scored !== undefined;
  try {
    yield* run(going, isSearchedAgain ? [] : log.begun);
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error;
    yield* run(going, log.begun);
  }
}

interface Going {
  readonly slot: ModelSlot;
  readonly target: Tokenizer;
  readonly prepared: Prepared;
  readonly log: LoggedTokens;
  readonly started: number;
  readonly signal: AbortSignal;
  readonly onRan: OnRan;
}

async function* run(going: Going, begun: readonly (readonly number[])[]): Events {
  const { slot, prepared, log, signal } = going;
  const { sourceIds, decoding, wantLogprobs, topN, wantAttention, deadlineAt, priority, scored } = prepared;
  const spec: SubmitSpec = {
    sourceIds,
    decoding,
    wantLogprobs,
    topN,
    wantAttention,
    deadlineAt,
    priority,
    resumedIds: begun,
    resumedTokens: log.begun.flat().length,
    ...(scored === undefined ? {} : { scored }),
  };
  try {
    for await (const engineRun of slot.run(spec, signal)) yield* told(engineRun, going);
  } catch (error) {
    if (!isLate(error) || !log.hasGenerated) throw error;
    yield* asLogged(going);
  }
}

async function* told(engineRun: EngineRun, { target, prepared, log, started, onRan }: Going): Events {
  const transcript = new Transcript(prepared, target, log);
  let isFinishing = false;
  for await (const event of engineRun.events) {
    if (event.type === "end") {
      const totalMs = performance.now() - started;
      onRan(prepared, event.end, Date.now() - totalMs);
      return yield* transcript.end(event.end, totalMs);
    }
    yield* transcript.take(event.output, event.token);
    if (!transcript.isStopped || isFinishing) continue;
    isFinishing = true;
    engineRun.finish();
  }
}

/** The engine refuses what is late before its first token; with a log there are tokens. */
function isLate(error: unknown): boolean {
  return error instanceof AppError && error.kind === "deadline";
}

function* asLogged({ target, prepared, log, started }: Going): Generator<GenerationEvent> {
  const outputs = log.begun.map(() => ({ tokens: [], score: null, finishReason: "deadline" as const }));
  const timings = { queueMs: 0, encodeMs: 0, decodeMs: 0 };
  const transcript = new Transcript(prepared, target, log);
  yield* transcript.end({ outputs, timings }, performance.now() - started);
}
