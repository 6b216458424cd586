// The best segmentation under a unigram model. Source: google/sentencepiece 0.2, src/unigram_model.cc (EncodeOptimized).
import { pieceTypes, type SentencePieceFile } from "./model-file.js";
import { PrefixTable, byteLengthOf, type Segment, type Segmenter } from "./prefixes.js";
const unknownPenalty = 10;

export function unigramSegmenter(file: SentencePieceFile, unkId: number): Segmenter {
  const scores = file.pieces.map((piece) => piece.score);
  const normal = file.pieces.filter((piece) => piece.type === pieceTypes.normal).map((piece) => piece.score);
  const unknownScore = Math.fround(normal.reduce((least, score) => Math.min(least, score), Infinity) - unknownPenalty);
  const maxScore = normal.reduce((most, score) => Math.max(most, score), -Infinity);
  const isUserDefined = file.pieces.map((piece) => piece.type === pieceTypes.userDefined);
  const usable = new Set<number>([pieceTypes.normal, pieceTypes.userDefined]);
  const table = new PrefixTable(
    file.pieces.flatMap((piece, id): [string, number][] => (usable.has(piece.type) ? [[piece.text, id]] : [])),
  );
  // A user-defined piece gets a bonus, so that it is always taken.
  const scoreOf = (id: number, text: string) =>
    isUserDefined[id] === true ? byteLengthOf(text) * maxScore - 0.1 : (scores[id] ?? 0);

  return (normalized) => {
    const path = new BestPath(normalized.length);
    for (let start = 0; start < normalized.length;) {
      const width = (normalized.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
      const before = path.scoreAt(start);
      let hasSingle = false;
      table.each(normalized, start, (id, length) => {
        path.offer(start, start + length, id, before + scoreOf(id, normalized.slice(start, start + length)));
        hasSingle ||= length === width;
      });
      if (!hasSingle) path.offer(start, start + width, unkId, before + unknownScore);
      start += width;
    }
    return path.segments(normalized);
  };
}

/** The best way to each position. Sums are float32, as in the source: ties fall alike. */
class BestPath {
  readonly #scores: Float32Array;
  readonly #starts: Int32Array;
  readonly #ids: Int32Array;

  constructor(length: number) {
    this.#scores = new Float32Array(length + 1);
    this.#starts = new Int32Array(length + 1).fill(-1);
    this.#ids = new Int32Array(length + 1);
  }

  scoreAt(position: number): number {
    return this.#scores[position] ?? 0;
  }

  offer(start: number, stop: number, id: number, score: number): void {
    if (this.#starts[stop] !== -1 && score <= (this.#scores[stop] ?? 0)) return;
    this.#scores[stop] = score;
    this.#starts[stop] = start;
    this.#ids[stop] = id;
  }

  segments(text: string): Segment[] {
    const found: Segment[] = [];
    for (let stop = text.length; stop > 0;) {
      const start = this.#starts[stop] ?? 0;
      found.push({ text: text.slice(start, stop), id: this.#ids[stop] ?? 0 });
      stop = start;
    }
    return found.reverse();
  }
}
