// kill -9 of a worker at a random token of a running generation, again and again: every client gets exactly the undisturbed text.
import { setTimeout as sleep } from "node:timers/promises";
import { percentiles, type Percentiles } from "../../../bench/tools/percentiles.js";
import { startCluster, type Cluster, type Place } from "./cluster.js";
import { keepBusy } from "./load.js";
import { expectedOf, requests, type Expected } from "./oracle.js";
import type { SeenEvent } from "./resuming-client.js";
import { metricSum } from "./scrape.js";

export interface KillResult {
  readonly kills: number;
  readonly generations: number;
  /** Pick-ups of generations that a killed worker had begun. */
  readonly tookOver: number;
  /** The longest silence of each stream that was cut. */
  readonly recoveryMs: Percentiles;
}

/**
 * Two API nodes, two workers; `clients` generations at a time. Between two kills the cluster has up to `restMs`. Goes on until a kill met a running
 * generation: a worker may be done before its clients hear of it. Gives up after four times as many kills.
 */
export async function killWorkers(kills: number, restMs = 500, clients = 12): Promise<KillResult> {
  const expected = await expectedOf(requests(36));
  const cluster = await startCluster({ apis: 2, workers: 2 });
  try {
    const killer = new Killer(cluster, kills, restMs);
    const urls = cluster.apis.map(({ url }) => url);
    const options = (one: Expected) => ({ onEvent: (event: SeenEvent) => killer.see(event, one) });
    const seen = await keepBusy({ urls, expected, clients, isOver: () => killer.isOver, options });
    await killer.settled();
    const cut = seen.filter(({ longestGapMs }) => longestGapMs > 500);
    const tookOver = killer.tookOver + (await metricSum(cluster.workers, "seqserve_job_redeliveries_total"));
    const recoveryMs = percentiles(cut.map(({ longestGapMs }) => longestGapMs));
    return { kills: killer.done, generations: seen.length, tookOver, recoveryMs };
  } finally {
    await cluster.stop();
  }
}

/** The next stream that reaches a random token triggers the kill of one worker, which is then started again. */
class Killer {
  done = 0;
  /** As told by workers that were killed since: their counters died with them. */
  tookOver = 0;
  readonly #told = new Map<Place, number>();
  readonly #cluster: Cluster;
  readonly #wanted: number;
  readonly #restMs: number;
  #isBusy = false;
  #share = Math.random();
  #work: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, wanted: number, restMs: number) {
    this.#cluster = cluster;
    this.#wanted = wanted;
    this.#restMs = restMs;
  }

  get isOver(): boolean {
    const tookOver = [...this.#told.values()].reduce((sum, count) => sum + count, this.tookOver);
    return (this.done >= this.#wanted && tookOver > 0) || this.done >= 4 * this.#wanted;
  }

  see(event: SeenEvent, { ids }: Expected): void {
    if (this.#isBusy || this.isOver || event.id !== 1 + Math.floor(this.#share * ids.length)) return;
    this.#isBusy = true;
    this.#share = Math.random();
    const victim = this.#cluster.workers[Math.floor(Math.random() * this.#cluster.workers.length)];
    if (victim !== undefined) this.#work = this.#kill(victim);
  }

  settled(): Promise<void> {
    return this.#work;
  }

  async #kill(victim: Place): Promise<void> {
    await victim.end("SIGKILL");
    this.done += 1;
    this.tookOver += this.#told.get(victim) ?? 0;
    this.#told.delete(victim);
    await victim.refill();
    await sleep(Math.random() * this.#restMs);
    for (const worker of this.#cluster.workers)
      this.#told.set(worker, await metricSum([worker], "seqserve_job_redeliveries_total"));
    this.#isBusy = false;
  }
}
