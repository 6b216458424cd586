// Every API node and worker is restarted in turn, by SIGTERM, under load: clients that resume lose nothing, and the longest silence of each stream is told.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { percentiles, type Percentiles } from "../../../bench/tools/percentiles.js";
import { startCluster } from "./cluster.js";
import { keepBusy } from "./load.js";
import { expectedOf, requests } from "./oracle.js";

export interface RollingResult {
  readonly drainTimeoutMs: number;
  readonly restarts: number;
  readonly generations: number;
  readonly resumes: number;
  readonly handedOver: number;
  /** The longest silence of each stream: over all, over those that a worker gave to another, over those whose client had to resume. */
  readonly gapMs: Percentiles;
  readonly handedOverGapMs: Percentiles;
  readonly resumedGapMs: Percentiles;
}

/**
 * @param rounds with a drain of 0 up to four times as many, until a restart met a running generation
 * @param drainTimeoutMs how long processes may finish what runs; 0 hands everything over at once
 */
export async function rollingRestart(rounds: number, drainTimeoutMs: number, clients = 12): Promise<RollingResult> {
  const expected = await expectedOf(requests(36));
  const env = { DRAIN_TIMEOUT_MS: String(drainTimeoutMs) };
  const cluster = await startCluster({ apis: 2, workers: 2, env });
  const handed = () => cluster.workers.flatMap((worker) => worker.logged("generation handed over"));
  let isOver = false;
  let restarts = 0;
  const isDone = () => restarts >= 4 * rounds && (drainTimeoutMs > 0 || handed().length > 0 || restarts >= 16 * rounds);
  try {
    const urls = cluster.apis.map(({ url }) => url);
    const load = keepBusy({ urls, expected, clients, isOver: () => isOver });
    const restarting = (async () => {
      const nodes = [...cluster.workers, ...cluster.apis];
      for (; !isDone(); restarts += 1) {
        const one = nodes[restarts % nodes.length]!;
        await sleep(500);
        assert.equal(await one.end("SIGTERM"), 0, `${one.name} ended badly`);
        // What its end costs the streams is one thing, a start that takes a core for a second another.
        await sleep(1000);
        await one.refill();
      }
    })().finally(() => (isOver = true));
    const [seen] = await Promise.all([load, restarting]);
    const resumed = seen.filter(({ resumes }) => resumes > 0);
    const handedIds = new Set(handed().map((line) => line["generation_id"]));
    const handedOver = seen.filter(({ id }) => handedIds.has(id));
    const gaps = (of: typeof seen) => percentiles(of.map(({ longestGapMs }) => longestGapMs));
    return {
      drainTimeoutMs,
      restarts,
      generations: seen.length,
      resumes: seen.reduce((sum, { resumes }) => sum + resumes, 0),
      handedOver: handedOver.length,
      gapMs: gaps(seen),
      handedOverGapMs: gaps(handedOver),
      resumedGapMs: gaps(resumed),
    };
  } finally {
    await cluster.stop();
  }
}
