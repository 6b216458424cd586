// Taking over a generation at any point: what the log holds then, and what must come out in the end.
import assert from "node:assert/strict";
import type { EndEvent, GenerationEvent, GenerationRequest, Prepared, TokenEvent } from "../../../src/generation.js";
import type { Inference } from "../../../src/inference/inference.js";
import { thinned } from "../random.js";

export interface Told {
  readonly tokens: readonly TokenEvent[];
  /** Without timings. */
  readonly end: Omit<EndEvent, "timings">;
}

const never = new AbortController().signal;

/** As it comes out of Redis. */
export function logOf(tokens: readonly TokenEvent[]): TokenEvent[] {
  return JSON.parse(JSON.stringify(tokens)) as TokenEvent[];
}

export async function told(events: AsyncIterable<GenerationEvent>): Promise<Told> {
  const tokens: TokenEvent[] = [];
  for await (const event of events) {
    if (event.type === "token") tokens.push(event);
    if (event.type !== "end") continue;
    const { timings: _, ...end } = event;
    return { tokens, end };
  }
  throw new Error("no end event");
}

export function undisturbed(inference: Inference, prepared: Prepared): Promise<Told> {
  return told(inference.generate(prepared, never));
}

/** What another worker adds to a log, and the log with it. */
export async function takenOver(inference: Inference, prepared: Prepared, log: readonly TokenEvent[]): Promise<Told> {
  const { tokens, end } = await told(inference.continue(prepared, log, never));
  return { tokens: [...log, ...tokens], end };
}

/** Takes a request over at every possible point (thinned by TEST_SCALE), all of them at once. Returns the undisturbed run. */
export async function checkEveryCut(inference: Inference, request: GenerationRequest): Promise<Told> {
  const prepared = await inference.prepare(request);
  const whole = await undisturbed(inference, prepared);
  const cuts = thinned(Array.from({ length: whole.tokens.length + 1 }, (_, cut) => cut));
  await Promise.all(
    cuts.map(async (cut) => {
      const log = logOf(whole.tokens.slice(0, cut));
      const again = await takenOver(inference, prepared, log);
      assert.deepEqual(again, whole, `taken over after ${cut} of ${whole.tokens.length}: ${JSON.stringify(request)}`);
    }),
  );
  return whole;
}
