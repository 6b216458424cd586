// What one turn of the engine has gathered so far: the message that goes out at its end.
import type { EngineEnd, FromEngine, TurnReport } from "../protocol/engine-protocol.js";

/** The message but for what only the thread knows. */
export type Stepped = Omit<Extract<FromEngine, { type: "stepped" }>, "report"> & { readonly report: TurnReport };

export class Turn {
  readonly tokens: Stepped["tokens"][number][] = [];
  readonly ended: EngineEnd[] = [];
  encodeMs = 0;
  decodeMs = 0;
  rows = 0;
  #encodedSources = 0;
  #sourceTokens = 0;
  #paddedTokens = 0;

  /** One encoder run of sources with these lengths. */
  countSources(lengths: readonly number[]): void {
    this.#encodedSources = lengths.length;
    this.#sourceTokens = lengths.reduce((sum, length) => sum + length, 0);
    this.#paddedTokens = Math.max(...lengths) * lengths.length - this.#sourceTokens;
  }

  /** @param waiting sequences that are not admitted yet */
  report(tookMs: number, rowCapacity: number, waiting: number): TurnReport {
    const { encodeMs, decodeMs, rows, tokens } = this;
    return {
      rows,
      rowCapacity,
      encodedSources: this.#encodedSources,
      sourceTokens: this.#sourceTokens,
      paddedTokens: this.#paddedTokens,
      encodeMs,
      decodeMs,
      hostMs: tookMs - encodeMs - decodeMs,
      tokens: tokens.length,
      waiting,
    };
  }
}
