// A sentencepiece model as sentencepiece itself runs it: text to pieces and pieces to text. Base of the Marian and M2M100 tokenizers.
// It is our own because the `tokenizers` package's Unigram gives other pieces for 4 of 5,545 texts: three are ties of equal Viterbi scores, one
// has special tokens literally in its text (docs/decisions/0008-our-own-sentencepiece.md).
// Source: google/sentencepiece 0.2, src/sentencepiece_processor.cc (Encode, Decode) and src/model_interface.cc.
import type { Stage } from "../text-stages.js";
import { bpeSegmenter } from "./bpe.js";
import { ByteRun } from "./byte-run.js";
import { modelTypes, pieceTypes, type SentencePieceFile } from "./model-file.js";
import { Normalizer, spaceMark } from "./normalizer.js";
import { PrefixMatcher, type Segment, type Segmenter } from "./prefixes.js";
import { unigramSegmenter } from "./unigram.js";

export interface EncodedPiece {
  /** A run of unknown characters is one piece, written as it stands in the normalised text. */
  readonly text: string;
  readonly id: number;
  /** UTF-16 offsets into the input. */
  readonly start: number;
  readonly stop: number;
}

export class SentencePiece {
  readonly file: SentencePieceFile;
  readonly unkId: number;
  readonly #normalizer: Normalizer;
  readonly #segment: Segmenter;
  readonly #reserved = new Map<string, number>();
  readonly #ids = new Map<string, number>();

  /** Throws for model types other than unigram, BPE and characters. */
  constructor(file: SentencePieceFile) {
    this.file = file;
    const usable: number[] = [pieceTypes.normal, pieceTypes.userDefined, pieceTypes.unused];
    file.pieces.forEach(({ text, type }, id) => (usable.includes(type) ? this.#ids : this.#reserved).set(text, id));
    const unknown = file.pieces.findIndex((piece) => piece.type === pieceTypes.unknown);
    this.unkId = unknown < 0 ? file.unkId : unknown;
    const own = file.pieces.filter((piece) => piece.type === pieceTypes.userDefined).map((piece) => piece.text);
    const userDefined = new PrefixMatcher(own);
    this.#normalizer = new Normalizer(file.normalizer, userDefined, file.whitespaceAsSuffix);
    this.#segment = this.#segmenter(userDefined);
  }

  /** The id of a piece; the unknown one's where there is none. */
  idOf(piece: string): number {
    return this.#reserved.get(piece) ?? this.#ids.get(piece) ?? this.unkId;
  }

  encode(input: string): EncodedPiece[] {
    const { text, origins } = this.#normalizer.normalize(input);
    const pieces: EncodedPiece[] = [];
    let at = 0;
    for (const segment of this.#segment(text)) {
      const start = origins[at] ?? 0;
      at += segment.text.length;
      this.#append(pieces, segment, start, origins[at] ?? input.length);
    }
    return pieces;
  }

  /** Pieces to text, one at a time: what sp.decode(pieces) gives for all of them. */
  decoder(): Stage {
    const bytes = new ByteRun();
    let isFirst = true;
    let hasTakenSpace = false;
    const note = (text: string) => {
      if (text !== "") isFirst = false;
      return text;
    };
    return {
      push: (piece) => {
        const id = this.idOf(piece);
        if (this.file.pieces[id]?.type === pieceTypes.byte)
          return [note(bytes.push(Number.parseInt(piece.slice(3, 5), 16)))];
        const before = note(bytes.flush());
        if (hasTakenSpace) isFirst = false;
        const takesSpace = isFirst && this.#hasDummySpace && this.#isText(id) && piece.startsWith(spaceMark);
        // With extra spaces removed, all spaces before the first text go; else only the one that the normaliser put there.
        hasTakenSpace = takesSpace && !this.file.normalizer.removeExtraWhitespaces;
        return [before + note(this.#surfaceOf(takesSpace ? piece.slice(spaceMark.length) : piece, id))];
      },
      flush: () => [bytes.flush()],
    };
  }

  get #hasDummySpace(): boolean {
    const { addDummyPrefix, removeExtraWhitespaces } = this.file.normalizer;
    return addDummyPrefix || removeExtraWhitespaces;
  }

  #isText(id: number): boolean {
    const type = this.file.pieces[id]?.type;
    return type !== pieceTypes.control && type !== pieceTypes.unknown;
  }

  #surfaceOf(piece: string, id: number): string {
    const known = this.file.pieces[id];
    if (known?.type === pieceTypes.control) return "";
    if (known?.type === pieceTypes.unknown) return known.text === piece ? this.file.unkSurface : piece;
    return piece.replaceAll(spaceMark, " ");
  }

  #append(pieces: EncodedPiece[], { text, id }: Segment, start: number, stop: number): void {
    const last = pieces.at(-1);
    if (id !== this.unkId) pieces.push({ text, id, start, stop });
    else if (this.file.byteFallback) pieces.push(...this.#bytePieces(text, start, stop));
    else if (last?.id === this.unkId) pieces.splice(-1, 1, { ...last, text: last.text + text, stop });
    else pieces.push({ text, id, start, stop });
  }

  // As in the source, the last byte of a character carries its place in the input.
  #bytePieces(text: string, start: number, stop: number): EncodedPiece[] {
    const bytes = Buffer.from(text, "utf8");
    return Array.from(bytes, (byte, index) => {
      const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      return { text: piece, id: this.idOf(piece), start, stop: index === bytes.length - 1 ? stop : start };
    });
  }

  #segmenter(userDefined: PrefixMatcher): Segmenter {
    const { modelType } = this.file;
    const idOf = (piece: string) => this.idOf(piece);
    if (modelType === modelTypes.unigram) return unigramSegmenter(this.file, this.unkId);
    if (modelType === modelTypes.bpe) return bpeSegmenter(this.file, { ids: this.#ids, idOf, userDefined });
    throw new Error(`sentencepiece model type ${modelType}: expected unigram (1) or BPE (2)`);
  }
}

/**
 * Text of pieces through a sentencepiece model, where special tokens between them are written as they stand (convert_tokens_to_string of Marian
 * and M2M100). `behind` follows each special token.
 */
export function piecesToText(model: SentencePiece, special: ReadonlySet<string>, behind: string): Stage {
  let run = model.decoder();
  return {
    push(piece) {
      if (!special.has(piece)) return run.push(piece);
      const before = run.flush();
      run = model.decoder();
      return [before.join("") + piece + behind];
    },
    flush: () => run.flush(),
  };
}
