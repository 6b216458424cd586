// What the benches send: the held-out words of g2p-en and the hand-written sentences of itn-en, in a fixed shuffled order.
import { readFileSync } from "node:fs";

export interface Workload {
  readonly model: string;
  readonly inputs: readonly string[];
}

export function workloads(): Workload[] {
  return [
    { model: "g2p-en", inputs: shuffled(firstColumn("training/g2p/test-references.tsv")) },
    { model: "itn-en", inputs: shuffled(firstColumn("training/itn/challenge.tsv")) },
  ];
}

export function readTsv(path: string): string[][] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split("\t"));
}

function firstColumn(path: string): string[] {
  return readTsv(path).map(([first]) => first ?? "");
}

/** Fisher–Yates on a fixed linear congruential sequence, so that every run sends the same. */
function shuffled(values: readonly string[]): string[] {
  const result = [...values];
  let state = 12345;
  for (let i = result.length - 1; i > 0; i -= 1) {
    state = (state * 1103515245 + 12345) % 2147483648;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j] as string, result[i] as string];
  }
  return result;
}
