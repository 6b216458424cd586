// SIGSTOP of a worker until its lock is long gone and another took over, then SIGCONT: what it still writes is fenced, and no text changes.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster } from "./cluster.js";
import { keepBusy } from "./load.js";
import { expectedOf, requests } from "./oracle.js";
import { metricSum } from "./scrape.js";

export interface PauseResult {
  readonly pauses: number;
  readonly generations: number;
  readonly fencedAppends: number;
}

/** Each worker in turn stands still for `pauseMs`. */
export async function pauseWorkers(pauses: number, pauseMs = 8000, clients = 12): Promise<PauseResult> {
  const expected = await expectedOf(requests(36));
  const cluster = await startCluster({ apis: 1, workers: 2 });
  try {
    let done = 0;
    const urls = cluster.apis.map(({ url }) => url);
    const load = keepBusy({ urls, expected, clients, isOver: () => done >= pauses });
    const pausing = (async () => {
      for (; done < pauses; done += 1) {
        await sleep(500 + Math.random() * 100);
        const worker = cluster.workers[done % cluster.workers.length];
        worker?.signal("SIGSTOP");
        await sleep(pauseMs);
        worker?.signal("SIGCONT");
        await sleep(1000);
      }
    })();
    const [seen] = await Promise.all([load, pausing]);
    const fencedAppends = await metricSum(cluster.workers, "seqserve_fenced_appends_total");
    assert.ok(fencedAppends > 0, "no append was fenced: the pauses met nothing");
    return { pauses, generations: seen.length, fencedAppends };
  } finally {
    await cluster.stop();
  }
}
