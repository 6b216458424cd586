// SIGSTOP of a worker until its lock is long gone and another took over, then SIGCONT: what it still writes is fenced, and no text changes.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster, type Cluster } from "./cluster.js";
import { keepBusy } from "./load.js";
import { expectedOf, requests } from "./oracle.js";
import { metricSum } from "./scrape.js";

export interface PauseResult {
  readonly pauses: number;
  readonly generations: number;
  readonly fencedAppends: number;
}

/**
 * Each worker in turn stands still for `pauseMs`: `pauses` times, and on until an append was fenced, as most workers hear of their
 * lost lock before they write again. Rejects when none was in four times as many.
 */
export async function pauseWorkers(pauses: number, pauseMs = 6000, clients = 32): Promise<PauseResult> {
  const expected = await expectedOf(requests(24, "long"));
  const cluster = await startCluster({ apis: 1, workers: 2 });
  let done = 0;
  let fencedAppends = 0;
  const isOver = () => (done >= pauses && fencedAppends > 0) || done >= pauses * 4;
  try {
    const urls = cluster.apis.map(({ url }) => url);
    const load = keepBusy({ urls, expected, clients, isOver });
    const pausing = (async () => {
      for (; !isOver(); done += 1) {
        await pause(cluster, done, pauseMs);
        fencedAppends = await metricSum(cluster.workers, "seqserve_fenced_appends_total");
      }
    })();
    const [seen] = await Promise.all([load, pausing]);
    assert.ok(fencedAppends > 0, "no append was fenced: the pauses met nothing");
    return { pauses: done, generations: seen.length, fencedAppends };
  } finally {
    await cluster.stop();
  }
}

async function pause({ workers }: Cluster, number: number, pauseMs: number): Promise<void> {
  const worker = workers[number % workers.length];
  await sleep(500 + Math.random() * 100);
  worker?.signal("SIGSTOP");
  await sleep(pauseMs);
  worker?.signal("SIGCONT");
  await sleep(1000);
}
