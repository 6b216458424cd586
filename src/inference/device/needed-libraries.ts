// Which shared libraries an ELF file asks the loader for (its DT_NEEDED entries). Reads headers only: CUDA's files have hundreds of megabytes.
//
//   header ─▶ program headers ─▶ PT_DYNAMIC: DT_NEEDED (offsets), DT_STRTAB (an address) ─▶ PT_LOAD that holds it ─▶ names
import { closeSync, openSync, readSync } from "node:fs";

const kinds = { load: 1, dynamic: 2 } as const;
const tags = { needed: 1, stringTable: 5, stringTableSize: 10 } as const;

interface Segment {
  readonly kind: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/** Throws one line for what is no 64-bit little-endian ELF file. */
export function neededLibraries(path: string): string[] {
  const file = openSync(path, "r");
  try {
    return namesIn((offset, bytes) => readPart(file, offset, bytes), path);
  } finally {
    closeSync(file);
  }
}

type Read = (offset: number, bytes: number) => Buffer;

function namesIn(read: Read, path: string): string[] {
  const header = read(0, 64);
  if (header.length < 64 || header.toString("latin1", 0, 6) !== "\u007FELF\u0002\u0001")
    throw new Error(`${path}: expected a 64-bit ELF file`);
  const segments = segmentsOf(header, read);
  const dynamic = segments.find(({ kind }) => kind === kinds.dynamic);
  if (dynamic === undefined) return [];
  const entries = dynamicEntries(read(dynamic.offset, dynamic.bytes));
  const table = read(fileOffset(segments, entries, path), valueOf(entries, tags.stringTableSize));
  return entries.flatMap(([tag, at]) =>
    tag === tags.needed ? table.toString("latin1", at, table.indexOf(0, at)) : [],
  );
}

function segmentsOf(header: Buffer, read: Read): Segment[] {
  const [start, size, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)];
  const rows = read(start, size * count);
  return Array.from({ length: count }, (_, index) => {
    const row = rows.subarray(index * size, (index + 1) * size);
    const wide = (at: number) => Number(row.readBigUInt64LE(at));
    return { kind: row.readUInt32LE(0), offset: wide(8), address: wide(16), bytes: wide(32) };
  });
}

type Entry = readonly [tag: number, value: number];

function dynamicEntries(bytes: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = Number(bytes.readBigInt64LE(at));
    if (tag === 0) break;
    entries.push([tag, Number(bytes.readBigUInt64LE(at + 8))]);
  }
  return entries;
}

function fileOffset(segments: readonly Segment[], entries: readonly Entry[], path: string): number {
  const address = valueOf(entries, tags.stringTable);
  const holds = ({ kind, address: first, bytes }: Segment) =>
    kind === kinds.load && address >= first && address < first + bytes;
  const segment = segments.find(holds);
  if (segment === undefined) throw new Error(`${path}: its names lie outside the file`);
  return segment.offset + (address - segment.address);
}

function valueOf(entries: readonly Entry[], wanted: number): number {
  return entries.find(([tag]) => tag === wanted)?.[1] ?? 0;
}

function readPart(file: number, offset: number, bytes: number): Buffer {
  const part = Buffer.alloc(bytes);
  return part.subarray(0, readSync(file, part, 0, bytes, offset));
}
