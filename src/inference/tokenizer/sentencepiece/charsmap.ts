// The precompiled_charsmap of a sentencepiece model, executed as in the file: a Darts-clone double-array trie from UTF-8 bytes to replacement texts.
// Source: google/sentencepiece 0.2, src/normalizer.cc (DecodePrecompiledCharsMap, NormalizePrefix) and third_party/darts_clone/darts.h.

export interface Replacement {
  readonly text: string;
  /** Bytes of the input that it stands for. */
  readonly length: number;
}

/** Throws for a blob whose sizes don't fit. */
export class Charsmap {
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;
  readonly #cache = new Map<number, string>();

  constructor(blob: Uint8Array) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.byteLength < 4 ? -1 : view.getUint32(0, true);
    if (trieBytes < 0 || trieBytes % 4 !== 0 || 4 + trieBytes > blob.byteLength)
      throw new Error("precompiled_charsmap is broken");
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
    this.#texts = blob.subarray(4 + trieBytes);
  }

  /** The replacement of the longest rule that the bytes begin with at `from`, or null. */
  longest(bytes: Uint8Array, from: number): Replacement | null {
    let found: { value: number; length: number } | null = null;
    let position = offsetOf(this.#unit(0));
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0;
      position ^= byte;
      const unit = this.#unit(position);
      if (labelOf(unit) !== byte) break;
      position ^= offsetOf(unit);
      if (hasLeaf(unit)) found = { value: this.#unit(position) & 0x7fffffff, length: at + 1 - from };
    }
    return found === null ? null : { text: this.#text(found.value), length: found.length };
  }

  #unit(position: number): number {
    return this.#units[position] ?? 0;
  }

  #text(start: number): string {
    const cached = this.#cache.get(start);
    if (cached !== undefined) return cached;
    const end = this.#texts.indexOf(0, start);
    const text = Buffer.from(this.#texts.subarray(start, end < 0 ? undefined : end)).toString("utf8");
    this.#cache.set(start, text);
    return text;
  }
}

// The layout of a Darts unit: bits 0-7 label, 8 has a leaf, 9 wide offset, 10-30 offset, 31 is a leaf.
function hasLeaf(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}

function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
