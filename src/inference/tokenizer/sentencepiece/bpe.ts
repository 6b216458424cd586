// Merging pairs under a BPE model, best score first. Source: google/sentencepiece 0.2, src/bpe_model.cc (SampleEncode with alpha 0).
import { pieceTypes, type SentencePieceFile } from "./model-file.js";
import type { PrefixMatcher, Segment, Segmenter } from "./prefixes.js";

interface Link {
  text: string;
  previous: number;
  next: number;
  /** User-defined pieces are never merged. */
  readonly isFrozen: boolean;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  readonly score: number;
  readonly length: number;
}

export interface BpeLookup {
  /** Normal, user-defined and unused pieces. */
  readonly ids: ReadonlyMap<string, number>;
  readonly idOf: (piece: string) => number;
  readonly userDefined: PrefixMatcher;
}

export function bpeSegmenter(file: SentencePieceFile, lookup: BpeLookup): Segmenter {
  return (normalized) => new Merging(file, lookup, normalized).segments();
}

/** Symbols form a linked list; a merged symbol's right half stays behind, empty. */
class Merging {
  readonly #file: SentencePieceFile;
  readonly #lookup: BpeLookup;
  readonly #symbols: Link[];
  readonly #agenda = new Heap();
  /** How unused pieces came about: they are taken apart again at the end. */
  readonly #parts = new Map<string, readonly [string, string]>();

  constructor(file: SentencePieceFile, lookup: BpeLookup, text: string) {
    this.#file = file;
    this.#lookup = lookup;
    this.#symbols = splitSymbols(text, lookup.userDefined);
    for (let right = 1; right < this.#symbols.length; right++) this.#consider(right - 1, right);
    for (let pair = this.#agenda.pop(); pair !== null; pair = this.#agenda.pop()) this.#merge(pair);
  }

  segments(): Segment[] {
    const found: Segment[] = [];
    for (let at = 0; at >= 0;) {
      const symbol = this.#symbols[at];
      if (symbol === undefined) break;
      this.#takeApart(symbol.text, found);
      at = symbol.next;
    }
    return found;
  }

  #consider(left: number, right: number): void {
    const [first, second] = [this.#symbols[left], this.#symbols[right]];
    if (first === undefined || second === undefined || first.isFrozen || second.isFrozen) return;
    const text = first.text + second.text;
    const id = this.#lookup.ids.get(text);
    if (id === undefined) return;
    this.#agenda.push({ left, right, score: this.#file.pieces[id]?.score ?? 0, length: text.length });
    if (this.#isUnused(id)) this.#parts.set(text, [first.text, second.text]);
  }

  #merge({ left, right, length }: Pair): void {
    const [first, second] = [this.#symbols[left], this.#symbols[right]];
    if (first === undefined || second === undefined) return;
    const isStale = first.text === "" || second.text === "" || first.text.length + second.text.length !== length;
    if (isStale) return;
    first.text += second.text;
    second.text = "";
    first.next = second.next;
    const after = this.#symbols[second.next];
    if (after !== undefined) after.previous = left;
    this.#consider(first.previous, left);
    this.#consider(left, first.next);
  }

  #takeApart(text: string, found: Segment[]): void {
    const id = this.#lookup.idOf(text);
    const parts = this.#isUnused(id) ? this.#parts.get(text) : undefined;
    if (parts === undefined) found.push({ text, id });
    else for (const part of parts) this.#takeApart(part, found);
  }

  #isUnused(id: number): boolean {
    return this.#file.pieces[id]?.type === pieceTypes.unused;
  }
}

function splitSymbols(text: string, userDefined: PrefixMatcher): Link[] {
  const symbols: Link[] = [];
  for (let at = 0; at < text.length;) {
    const own = userDefined.longestAt(text, at);
    const part = own ?? String.fromCodePoint(text.codePointAt(at) ?? 0);
    at += part.length;
    const index = symbols.length;
    symbols.push({ text: part, previous: index - 1, next: at < text.length ? index + 1 : -1, isFrozen: own !== null });
  }
  return symbols;
}

/** Best score first; of equal ones the leftmost. */
class Heap {
  readonly #pairs: Pair[] = [];

  push(pair: Pair): void {
    const pairs = this.#pairs;
    let at = pairs.push(pair) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = pairs[parent];
      if (above === undefined || !isBefore(pair, above)) break;
      pairs[at] = above;
      at = parent;
    }
    pairs[at] = pair;
  }

  pop(): Pair | null {
    const [top] = this.#pairs;
    const last = this.#pairs.pop();
    if (top === undefined || last === undefined) return null;
    if (this.#pairs.length > 0) this.#sink(last);
    return top;
  }

  #sink(pair: Pair): void {
    const pairs = this.#pairs;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [first, second] = [pairs[left], pairs[left + 1]];
      const child = second !== undefined && first !== undefined && isBefore(second, first) ? left + 1 : left;
      const below = pairs[child];
      if (below === undefined || !isBefore(below, pair)) break;
      pairs[at] = below;
      at = child;
    }
    pairs[at] = pair;
  }
}

function isBefore(one: Pair, other: Pair): boolean {
  return one.score > other.score || (one.score === other.score && one.left < other.left);
}
