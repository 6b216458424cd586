// How an API node gets new entries: one channel of its own, and its name in the meta of each generation that it follows.
//
//   worker ──append ok──▶ PUBLISH node:<id> ──▶ Inbox ──▶ watchers        reconnected: subscribe, register again, every watcher reads
import type { RedisConnection } from "./redis.js";
import { channelOf, parsePushes } from "./pushes.js";
import { joinScript } from "./token-log-scripts.js";
import { Watchers, type Watch } from "../log/watchers.js";

export interface InboxOptions {
  /** In role "commands": the one that the log reads with, so that registering precedes reading. */
  readonly commands: RedisConnection;
  readonly subscriber: RedisConnection;
  readonly prefix: string;
  /** Unique among running processes, without white space. */
  readonly nodeId: string;
  /** Seconds that a message took from its worker, by the clocks of both machines. */
  readonly onDelivered?: (seconds: number) => void;
}

/** Nodes pushed to for one generation, the latest that came; others find new entries by reading now and then. */
const maxNodes = 8;

export class Inbox {
  readonly #options: InboxOptions;
  readonly #watchers = new Watchers();
  readonly #stop: (() => void)[];

  constructor(options: InboxOptions) {
    this.#options = options;
    const { commands, subscriber } = options;
    subscriber.client.on("message", (_channel, message) => this.#deliver(message));
    this.#stop = [
      subscriber.onChange((isUp) => isUp && this.#subscribe()),
      commands.onChange((isUp) => isUp && this.#catchUp()),
    ];
    if (subscriber.isUp) this.#subscribe();
  }

  readonly watch: Watch = (id, onEntries) => {
    const isNew = !this.#watchers.has(id);
    const unwatch = this.#watchers.watch(id, onEntries);
    if (isNew) this.#join(id);
    return unwatch;
  };

  /** For a generation that is created with this node's name in its meta. */
  readonly watchNew: Watch = (id, onEntries) => this.#watchers.watch(id, onEntries);

  /** The connections stay its owner's. */
  close(): void {
    for (const stop of this.#stop) stop();
  }

  #subscribe(): void {
    const { subscriber, prefix, nodeId } = this.#options;
    // It fails when the connection breaks again, and then there is a next "up".
    subscriber.client.subscribe(channelOf(prefix, nodeId)).then(
      () => this.#catchUp(),
      () => undefined,
    );
  }

  #catchUp(): void {
    for (const id of this.#watchers.ids) {
      this.#join(id);
      this.#watchers.notify(id, []);
    }
  }

  // Sent at once and in full (no second try with NOSCRIPT), so what its watcher reads next is at least as new. If it is lost, the watcher still
  // reads now and then.
  #join(id: string): void {
    const { commands, prefix, nodeId } = this.#options;
    commands.client.eval(joinScript.lua, 1, `${prefix}:gen:{${id}}:meta`, nodeId, maxNodes).catch(() => undefined);
  }

  #deliver(message: string): void {
    const pushed = parsePushes(message);
    if (pushed === null) return this.#catchUp();
    this.#options.onDelivered?.((Date.now() - pushed.atMs) / 1000);
    for (const { id, entries } of pushed.pushes) this.#watchers.notify(id, entries);
  }
}
