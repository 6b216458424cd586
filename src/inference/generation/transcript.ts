// The text side of one generation: engine tokens become text pieces, stop strings are watched, and at the end outputs are put together.
// Joined, the pieces of an output are exactly its text. Tokens that the log has already go through it, too, but make no events.
import {
  streamedOutputs,
  type EndEvent,
  type FinishReason,
  type Output,
  type OutputToken,
  type Prepared,
  type TokenEvent,
} from "../../generation.js";
import type { EngineEvent } from "../host/engine-host.js";
import type { EngineOutput, EngineToken } from "../protocol/engine-protocol.js";
import { ResumedTokens, toEngineToken } from "./resumed-tokens.js";
import { StopWatcher } from "./stop-strings.js";
import type { Tokenizer, Detokenizer } from "../tokenizer/tokenizer.js";
import { penalisedScore, meanLogprob } from "../protocol/scores.js";

type EngineEndEvent = Pick<Extract<EngineEvent, { type: "end" }>["end"], "outputs" | "timings">;

/** One output so far. */
class Line {
  readonly tokens: OutputToken[] = [];
  text = "";
  readonly #prepared: Prepared;
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopWatcher;

  constructor(prepared: Prepared, tokenizer: Tokenizer) {
    this.#prepared = prepared;
    this.#tokenizer = tokenizer;
    this.#detokenizer = tokenizer.detokenizer(true);
    this.#stops = new StopWatcher(prepared.stop);
  }

  get isStopped(): boolean {
    return this.#stops.isStopped;
  }

  /** A forced id: part of the text, not of the generated tokens. */
  force(id: number): OutputToken {
    return this.#piece({ id }, false);
  }

  take(token: EngineToken): OutputToken {
    const { decoding } = this.#prepared;
    const isLast =
      decoding.eosTokenIds.includes(token.id) || this.tokens.length + 1 === decoding.maxLength - decoding.prefix.length;
    const taken = this.#piece(token, isLast);
    this.tokens.push(taken);
    return taken;
  }

  #piece(token: EngineToken, isLast: boolean): OutputToken {
    const special = this.#tokenizer.isSpecial(token.id);
    const added = this.#detokenizer.push(token.id) + (isLast ? this.#detokenizer.flush() : "");
    const text = this.#stops.push(added) + (isLast ? this.#stops.flush() : "");
    this.text += text;
    return { ...this.#annotations(token), id: token.id, text, special };
  }

  #annotations({ logprob, sampledLogprob, top, entropy, attention }: EngineToken) {
    return {
      ...(logprob !== undefined && { logprob }),
      ...(sampledLogprob !== undefined && { sampledLogprob }),
      ...(top !== undefined && {
        top: top.map((other) => ({
          ...other,
          text: this.#tokenizer.decode([other.id], false),
          special: this.#tokenizer.isSpecial(other.id),
        })),
      }),
      ...(entropy !== undefined && { entropy }),
      ...(attention !== undefined && this.#prepared.wantAttention && { attention: Array.from(attention) }),
    };
  }
}

export class Transcript {
  readonly #prepared: Prepared;
  readonly #tokenizer: Tokenizer;
  readonly #lines = new Map<number, Line>();
  readonly #resumed: ResumedTokens;
  #seq = 0;

  constructor(prepared: Prepared, tokenizer: Tokenizer, resumed = new ResumedTokens([], prepared)) {
    this.#prepared = prepared;
    this.#tokenizer = tokenizer;
    this.#resumed = resumed;
  }

  /** Every output has met a stop string: nothing more can change. */
  get isStopped(): boolean {
    const { decoding } = this.#prepared;
    const streamed = streamedOutputs(decoding);
    const stopped = [...this.#lines.values()].filter((line) => line.isStopped).length;
    return stopped >= streamed && decoding.numReturnSequences <= streamed;
  }

  /** Events for a token that became final; none once its output has stopped. Throws Contradiction when the log has another token. */
  *take(output: number, token: EngineToken): Generator<TokenEvent> {
    if (!this.#lines.has(output)) yield* this.#open(output);
    const line = this.#line(output);
    if (line.isStopped) return;
    const resumed = this.#resumed.tokenAt(output, line.tokens.length, token);
    yield* this.#emit(output, line.take(resumed));
  }

  /** The rest of what was not streamed of the best output, then the end. */
  *end(end: EngineEndEvent, totalMs: number): Generator<TokenEvent | EndEvent> {
    const [best] = end.outputs;
    const streamed = this.#lines.get(0)?.tokens.length ?? 0;
    for (const token of best?.tokens.slice(streamed) ?? []) yield* this.take(0, token);
    // The engine was stopped (a deadline) before it came to the log's end.
    for (const token of this.#resumed.generatedAfter(this.#seq)) yield* this.take(token.index, toEngineToken(token));
    const outputs = end.outputs.map((output, index) => this.#output(output, index));
    const generatedTokens = outputs.reduce((sum, output) => sum + output.tokens.length, 0);
    yield {
      type: "end",
      outputs,
      usage: { sourceTokens: this.#prepared.sourceIds.length, generatedTokens },
      timings: { ...end.timings, totalMs },
    };
  }

  #output(output: EngineOutput, index: number): Output {
    const line = this.#lines.get(index) ?? this.#replay(index, output);
    const forced = this.#prepared.decoding.prefix.slice(1);
    return {
      text: line.text,
      ids: [...forced, ...line.tokens.map((token) => token.id)],
      score: this.#score(line, output),
      finishReason: line.isStopped ? "stop_sequence" : this.#finishReason(line, output),
      tokens: line.tokens,
    };
  }

  // Of the tokens that are returned: the engine knows neither where a stop string cut nor the log's score of resumed tokens.
  #score({ tokens, isStopped }: Line, { score, sums }: EngineOutput): number | null {
    const { numBeams, lengthPenalty } = this.#prepared.decoding;
    if (numBeams === 1) return meanLogprob(tokens);
    if (!isStopped) return score;
    const sum = sums?.[tokens.length - 1];
    return sum === undefined ? null : penalisedScore(sum, tokens.length, lengthPenalty);
  }

  #finishReason({ tokens }: Line, { finishReason, tokens: ofEngine }: EngineOutput): FinishReason {
    const { eosTokenIds, maxLength, prefix } = this.#prepared.decoding;
    if (tokens.length <= ofEngine.length) return finishReason;
    if (eosTokenIds.includes(tokens.at(-1)?.id ?? -1)) return "eos_token";
    return tokens.length === maxLength - prefix.length ? "length" : finishReason;
  }

  // Lower-ranked beams were never streamed: their text is made at the end.
  #replay(index: number, output: EngineOutput): Line {
    for (const _ of this.#open(index)) continue;
    const line = this.#line(index);
    for (const token of output.tokens) if (!line.isStopped) line.take(token);
    return line;
  }

  *#open(output: number): Generator<TokenEvent> {
    const line = this.#line(output);
    for (const id of this.#prepared.decoding.prefix.slice(1)) yield* this.#emit(output, line.force(id));
  }

  #line(output: number): Line {
    const line = this.#lines.get(output) ?? new Line(this.#prepared, this.#tokenizer);
    this.#lines.set(output, line);
    return line;
  }

  *#emit(output: number, token: OutputToken): Generator<TokenEvent> {
    this.#seq += 1;
    const event: TokenEvent = { type: "token", seq: this.#seq, index: output, ...token };
    if (!this.#resumed.has(event)) yield event;
  }
}
