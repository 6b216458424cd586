// Waiting for what must come. Nothing is lost by patience: a machine that is busy with other things is slow at everything.
import { setTimeout as sleep } from "node:timers/promises";

const patienceMs = 60_000;

/** Fails after a minute. */
export async function until(condition: () => boolean | Promise<boolean>, what = "it did not come true"): Promise<void> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > patienceMs) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await sleep(5);
  }
}
