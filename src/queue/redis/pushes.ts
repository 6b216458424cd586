// What travels on an API node's channel: one message a flush, with all new entries of all generations it follows. Only ever sent after the log has them.
//
//   message: [sent at, [id, first seq, [event, …]], …]   no events: too large to push, read the log
import type { Redis } from "ioredis";
import { orUnavailable } from "./redis-script.js";
import type { LogEntry, LogEvent } from "../log/token-log.js";

export interface Push {
  readonly id: string;
  /** At least one, without gaps. */
  readonly entries: readonly LogEntry[];
  readonly nodes: readonly string[];
}

/** Redis cuts off a subscriber that lags by megabytes: what is large is read from the log instead. */
const maxPushCharacters = 65_536;

export function channelOf(prefix: string, node: string): string {
  return `${prefix}:node:${node}`;
}

/** One PUBLISH a node. @param atMs when the entries were on their way to the log, by this machine's clock */
export async function publishPushes(
  client: Redis,
  prefix: string,
  pushes: readonly Push[],
  atMs = Date.now(),
): Promise<void> {
  const messages = [...messagesOf(pushes, atMs)];
  await orUnavailable(() =>
    Promise.all(messages.map(([node, message]) => client.publish(channelOf(prefix, node), message))),
  );
}

/** By node. */
export function messagesOf(pushes: readonly Push[], atMs: number): Map<string, string> {
  const parts = new Map<string, string[]>();
  for (const push of pushes) {
    const part = partOf(push);
    for (const node of push.nodes) addTo(parts, node, part);
  }
  return new Map([...parts].map(([node, all]) => [node, `[${atMs},${all.join(",")}]`]));
}

export interface Pushed {
  /** Milliseconds since the epoch, by the sender's clock. */
  readonly atMs: number;
  readonly pushes: readonly { readonly id: string; readonly entries: LogEntry[] }[];
}

/** Null for what no publishPushes of this version sent. */
export function parsePushes(message: string): Pushed | null {
  try {
    const [atMs, ...parts] = JSON.parse(message) as [number, ...[id: string, firstSeq: number, events: LogEvent[]][]];
    if (typeof atMs !== "number" || parts.length === 0) return null;
    const pushes = parts.map(([id, firstSeq, events]) => {
      return { id, entries: events.map((event, i) => ({ seq: firstSeq + i, event })) };
    });
    return { atMs, pushes };
  } catch {
    return null;
  }
}

function addTo(parts: Map<string, string[]>, node: string, part: string): void {
  const others = parts.get(node);
  if (others === undefined) parts.set(node, [part]);
  else others.push(part);
}

function partOf({ id, entries }: Push): string {
  const firstSeq = entries[0]?.seq ?? 0;
  const part = JSON.stringify([id, firstSeq, entries.map(({ event }) => event)]);
  return part.length > maxPushCharacters ? JSON.stringify([id, firstSeq, []]) : part;
}
