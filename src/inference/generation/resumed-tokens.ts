// Tokens that another worker had emitted before it was lost: the next one must neither emit them again nor contradict them. Read by the transcript.
import { AppError } from "../../errors.js";
import { streamedOutputs, type Prepared, type TokenEvent } from "../../generation.js";
import type { EngineToken } from "../protocol/engine-protocol.js";

/** A repeated search chose another token than the log has: its machine computes otherwise than the one before. */
export class Contradiction extends Error {
  override readonly name = "Contradiction";
}

export class ResumedTokens {
  readonly events: readonly TokenEvent[];
  /** Generated ones by output: forced prefix ids are left out. */
  readonly #generated: readonly (readonly TokenEvent[])[];

  /** Throws AppError "generation" when the log cannot be this generation's. */
  constructor(events: readonly TokenEvent[], { decoding }: Pick<Prepared, "decoding">) {
    const forced = decoding.prefix.slice(1);
    const all = Array.from({ length: streamedOutputs(decoding) }, (): TokenEvent[] => []);
    events.forEach((event, at) => {
      if (event.seq !== at + 1) throw foreignLog(`token ${at + 1} is missing`);
      const own = all[event.index] ?? raise(foreignLog(`there is no output ${event.index}`));
      own.push(event);
      const id = forced[own.length - 1];
      if (id !== undefined && id !== event.id) throw foreignLog(`token ${event.seq} is not the forced id ${id}`);
    });
    this.events = events;
    this.#generated = all.map((own) => own.slice(forced.length));
  }

  /** By output: the generated ids, after the prefix. */
  get ids(): number[][] {
    return this.#generated.map((tokens) => tokens.map(({ id }) => id));
  }

  get hasGenerated(): boolean {
    return this.#generated.some((tokens) => tokens.length > 0);
  }

  /** A generated token as the log has it, else as the engine chose it now. Throws Contradiction when their ids differ. */
  tokenAt(output: number, position: number, chosen: EngineToken): EngineToken {
    const logged = this.#generated[output]?.[position];
    if (logged === undefined) return chosen;
    if (logged.id === chosen.id) return toEngineToken(logged);
    throw new Contradiction(`token ${logged.seq} of the log is ${logged.id}, the repeated search chose ${chosen.id}`);
  }

  /** Whether the log has this event already. Throws AppError "generation" when it has another in its place. */
  has(event: TokenEvent): boolean {
    const logged = this.events[event.seq - 1];
    if (logged === undefined) return false;
    const { index, id, text } = logged;
    if (index === event.index && id === event.id && text === event.text) return true;
    throw foreignLog(
      `token ${event.seq} is ${JSON.stringify({ index, id, text })} there, not ${JSON.stringify(event)}`,
    );
  }

  /** Generated tokens from this seq on, in order. */
  generatedAfter(seq: number): TokenEvent[] {
    const generated = new Set(this.#generated.flat());
    return this.events.slice(seq).filter((event) => generated.has(event));
  }
}

export function toEngineToken({ id, logprob, sampledLogprob, top, entropy, attention }: TokenEvent): EngineToken {
  return {
    id,
    ...(logprob !== undefined && { logprob: fromJson(logprob) }),
    ...(sampledLogprob !== undefined && { sampledLogprob: fromJson(sampledLogprob) }),
    ...(top !== undefined && { top: top.map((other) => ({ ...other, logprob: fromJson(other.logprob) })) }),
    ...(entropy !== undefined && { entropy }),
    ...(attention !== undefined && { attention: Float32Array.from(attention) }),
  };
}

/** JSON knows no infinity: the impossible comes back as null. */
function fromJson(logprob: number | null): number {
  return logprob ?? -Infinity;
}

function foreignLog(why: string): AppError {
  return new AppError("generation", `the generation cannot be taken over: the log is not this model's: ${why}`);
}

function raise(error: Error): never {
  throw error;
}
