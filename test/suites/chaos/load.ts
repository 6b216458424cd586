// Clients that keep a cluster busy: each runs one generation after another and judges what it saw.
import { judge, type Expected } from "./oracle.js";
import { generation, type ClientOptions, type Seen } from "./resuming-client.js";

export interface Load {
  readonly urls: readonly string[];
  readonly expected: readonly Expected[];
  readonly clients: number;
  readonly isOver: () => boolean;
  readonly options?: (expected: Expected) => ClientOptions;
  /** Instead of judge(). */
  readonly onSeen?: (seen: Seen, expected: Expected) => void;
}

/** Resolves when all clients have ended their last one; rejects at the first that failed. */
export async function keepBusy({ urls, expected, clients, isOver, options, onSeen = judge }: Load): Promise<Seen[]> {
  const all: Seen[] = [];
  let next = 0;
  const client = async () => {
    while (!isOver()) {
      const one = expected[next++ % expected.length];
      if (one === undefined) return;
      const seen = await generation(urls, one.body, options?.(one));
      onSeen(seen, one);
      all.push(seen);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return all;
}
