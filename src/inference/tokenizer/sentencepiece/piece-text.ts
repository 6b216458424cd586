// Text of tokens through a sentencepiece model, where special tokens between them are written as they stand (convert_tokens_to_string of Marian and M2M100).
import type { Stage } from "../text-stages.js";
import type { SentencePiece } from "./sentencepiece.js";

/** `behind` follows each special token. */
export function pieceText(model: SentencePiece, special: ReadonlySet<string>, behind: string): Stage {
  let run = model.decoding();
  return {
    push(piece) {
      if (!special.has(piece)) return run.push(piece);
      const before = run.flush();
      run = model.decoding();
      return [before.join("") + piece + behind];
    },
    flush: () => run.flush(),
  };
}
