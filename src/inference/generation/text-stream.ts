// Incremental text of one output: ids in, whole characters out. Between the engine's tokens and the events that clients see.
import type { Detokenizer, Tokenizer } from "../tokenizer/tokenizer.js";

/** Pieces joined (push … push, flush) are exactly tokenizer.decode(all ids, skipSpecialTokens); each push costs O(1). */
export class TextStream {
  readonly #detokenizer: Detokenizer;

  constructor(tokenizer: Tokenizer, skipSpecialTokens = true) {
    this.#detokenizer = tokenizer.detokenizer(skipSpecialTokens);
  }

  /** The text that became certain with this id; "" while a character is incomplete or may still change. */
  push(id: number): string {
    return this.#detokenizer.push(id);
  }

  /** What was held back. Call once, at the end. */
  flush(): string {
    return this.#detokenizer.flush();
  }
}
