// Looking up pieces that a text begins with. Sorted arrays instead of a trie: a vocabulary of 256,000 pieces costs no more memory than its strings.

/** Finds the longest of a few symbols at a position; for user-defined pieces. */
export class PrefixMatcher {
  readonly #byFirst = new Map<number, string[]>();

  constructor(symbols: readonly string[]) {
    for (const symbol of [...symbols].sort((left, right) => right.length - left.length)) {
      const unit = symbol.charCodeAt(0);
      const list = this.#byFirst.get(unit);
      if (list === undefined) this.#byFirst.set(unit, [symbol]);
      else list.push(symbol);
    }
  }

  longestAt(text: string, at: number): string | null {
    const candidates = this.#byFirst.get(text.charCodeAt(at));
    return candidates?.find((symbol) => text.startsWith(symbol, at)) ?? null;
  }
}

/** All entries that a text begins with at a position, shortest first. */
export class PrefixTable {
  readonly #keys: readonly string[];
  readonly #values: readonly number[];
  readonly #ranges = new Map<number, readonly [number, number]>();

  constructor(entries: readonly (readonly [string, number])[]) {
    const sorted = [...entries].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    this.#keys = sorted.map(([key]) => key);
    this.#values = sorted.map(([, value]) => value);
    this.#keys.forEach((key, index) => {
      const unit = key.charCodeAt(0);
      this.#ranges.set(unit, [this.#ranges.get(unit)?.[0] ?? index, index + 1]);
    });
  }

  /** Calls back with each entry's value and its length in UTF-16 units. */
  each(text: string, at: number, found: (value: number, length: number) => void): void {
    let [low, high] = this.#ranges.get(text.charCodeAt(at)) ?? [0, 0];
    for (let depth = 1; low < high; depth++) {
      // Sorted: of the keys that agree so far, one that ends here stands first.
      if (this.#keys[low]?.length === depth) {
        found(this.#values[low] ?? 0, depth);
        low++;
      }
      if (at + depth >= text.length) return;
      const unit = text.charCodeAt(at + depth);
      low = this.#firstNotBelow(low, high, depth, unit);
      high = this.#firstNotBelow(low, high, depth, unit + 1);
    }
  }

  #firstNotBelow(from: number, to: number, depth: number, unit: number): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? "").charCodeAt(depth) < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export interface Segment {
  readonly text: string;
  readonly id: number;
}

/** A normalised text to its pieces: what Unigram and BPE have in common. */
export type Segmenter = (normalized: string) => Segment[];

/** UTF-8 bytes of a well-formed text. */
export function byteLengthOf(text: string): number {
  return Buffer.byteLength(text, "utf8");
}
