// Bytes to characters, one byte at a time, as sentencepiece does: each byte that is not part of a valid character is replaced on its own.

export class ByteRun {
  readonly #replacement: string;
  #held: number[] = [];

  /** `replacement` stands for each invalid byte. */
  constructor(replacement = "\uFFFD") {
    this.#replacement = replacement;
  }

  /** Text that is certain with this byte; "" while a character may still become whole. */
  push(byte: number): string {
    this.#held.push(byte);
    let text = "";
    while (this.#held.length > 0 && !mayBecomeWhole(this.#held)) text += this.#next();
    return text;
  }

  /** The rest, where the run of bytes ends. */
  flush(): string {
    let text = "";
    while (this.#held.length > 0) text += this.#next();
    return text;
  }

  #next(): string {
    const size = sizeOf(this.#held[0] ?? 0);
    const character = characterOf(this.#held.slice(0, size), size);
    this.#held = this.#held.slice(character === null ? 1 : size);
    return character ?? this.#replacement;
  }
}

function mayBecomeWhole(bytes: readonly number[]): boolean {
  return bytes.length < sizeOf(bytes[0] ?? 0) && bytes.slice(1).every(isContinuation);
}

function isContinuation(byte: number): boolean {
  return byte >> 6 === 0b10;
}

/** Bytes of the character that this one begins; 0 if it begins none. */
function sizeOf(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc0) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf8 ? 4 : 0;
}

// null for what is too short, overlong, a surrogate or above U+10FFFF.
function characterOf(bytes: readonly number[], size: number): string | null {
  if (size === 0 || bytes.length < size) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
