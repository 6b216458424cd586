// The smallest shared object that Linux's loader takes: it holds nothing and asks for the libraries it is told to.
import { writeFileSync } from "node:fs";

export function writeSharedObject(path: string, needed: readonly string[]): void {
  const names = Buffer.from(["", ...needed, ""].join("\0"), "latin1");
  const offsets = needed.map((_, index) => 1 + needed.slice(0, index).reduce((sum, name) => sum + name.length + 1, 0));
  const headerBytes = 64 + 3 * 56;
  const symbols = headerBytes;
  const dynamicAt = symbols + 24;
  const entries: [number, number][] = offsets.map((at) => [1, at]);
  const tableAt = dynamicAt + (entries.length + 5) * 16;
  entries.push([5, tableAt], [10, names.length], [6, symbols], [11, 24], [0, 0]);
  const total = tableAt + names.length;
  const file = Buffer.alloc(total);
  file.write("\u007FELF\u0002\u0001\u0001", 0, "latin1");
  file.writeUInt16LE(3, 16); // ET_DYN
  file.writeUInt16LE(62, 18); // x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(3, 56);
  const segment = (index: number, kind: number, flags: number, at: number, bytes: number) => {
    const row = 64 + index * 56;
    file.writeUInt32LE(kind, row);
    file.writeUInt32LE(flags, row + 4);
    for (const field of [8, 16, 24]) file.writeBigUInt64LE(BigInt(at), row + field);
    for (const field of [32, 40]) file.writeBigUInt64LE(BigInt(bytes), row + field);
    file.writeBigUInt64LE(0x1000n, row + 48);
  };
  segment(0, 1, 6, 0, total);
  segment(1, 2, 6, dynamicAt, entries.length * 16);
  segment(2, 0x6474e551, 6, 0, 0); // no executable stack
  entries.forEach(([tag, value], index) => {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + index * 16);
    file.writeBigUInt64LE(BigInt(value), dynamicAt + index * 16 + 8);
  });
  names.copy(file, tableAt);
  writeFileSync(path, file);
}
