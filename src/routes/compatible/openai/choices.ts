// What completions and chat share: the choices of a request in their order, how much of each has been streamed, log-probabilities and usage.
import type { FinishReason, Output, OutputToken } from "../../../generation.js";
import type { FinishedGeneration } from "../../generate/run.js";

/** What only the route knows of a request. */
export interface RequestFacts {
  /** Random, for the answer's id. */
  readonly id: string;
  readonly version: string;
  readonly maxInputs: number;
  /** Seconds since the epoch. */
  readonly now: number;
}

/** Best first where more were drawn than asked for. */
export function bestOutputs(outputs: readonly Output[], n: number): readonly Output[] {
  if (outputs.length <= n) return outputs;
  return [...outputs].sort((left, right) => (right.score ?? -Infinity) - (left.score ?? -Infinity)).slice(0, n);
}

/** OpenAI knows two ends of a text: a deadline cuts as a length does. */
export function finishReason(reason: FinishReason): "stop" | "length" {
  return reason === "eos_token" || reason === "stop_sequence" ? "stop" : "length";
}

export function sumUsage(finished: readonly FinishedGeneration[]) {
  const sum = (count: (row: FinishedGeneration) => number) => finished.reduce((total, row) => total + count(row), 0);
  const prompt = sum(({ end }) => end.usage.sourceTokens);
  const completion = sum(({ end }) => end.usage.generatedTokens);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** Text that each choice of a stream has sent so far. Outputs that came late (lower beams) are sent whole at their end. */
export class SentTexts {
  readonly #lengths = new Map<number, number>();

  /** Offset of this piece in its choice; the piece counts as sent. */
  add(choice: number, piece: string): number {
    const offset = this.#lengths.get(choice) ?? 0;
    this.#lengths.set(choice, offset + piece.length);
    return offset;
  }

  has(choice: number): boolean {
    return this.#lengths.has(choice);
  }

  /** What is left to send. */
  rest(choice: number, text: string): string {
    return text.slice(this.#lengths.get(choice) ?? 0);
  }
}

/** Of /v1/completions. End tokens have no text and are left out. */
export function completionLogprobs(tokens: readonly OutputToken[], start = 0) {
  let offset = start;
  const shown = tokens.filter(({ special }) => !special);
  return {
    tokens: shown.map(({ text }) => text),
    token_logprobs: shown.map(({ logprob }) => logprob ?? null),
    top_logprobs: shown.map(({ top }) => Object.fromEntries((top ?? []).map(({ text, logprob }) => [text, logprob]))),
    text_offset: shown.map(({ text }) => {
      const at = offset;
      offset += text.length;
      return at;
    }),
  };
}

/** Of /v1/chat/completions. */
export function chatLogprobs(tokens: readonly OutputToken[]) {
  const entry = ({ text, logprob }: Pick<OutputToken, "text" | "logprob">) => {
    return { token: text, logprob: logprob ?? null, bytes: [...Buffer.from(text)] };
  };
  const content = tokens
    .filter(({ special }) => !special)
    .map((token) => ({ ...entry(token), top_logprobs: (token.top ?? []).map(entry) }));
  return { content, refusal: null };
}
