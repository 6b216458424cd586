// The sender of bursts, a thread of its own: a client that measures must not wait for another client's work.
import { parentPort, workerData } from "node:worker_threads";
import { streamGenerate } from "./sse-client.js";
import type { Workload } from "./workload.js";

/** What a burst thread is started with; each message to it is a burst's number, its answer the number of refused requests. */
export interface BurstData {
  readonly url: string;
  readonly workload: Workload;
  readonly size: number;
}

/** Milliseconds of one whole answer; null when it was refused. */
export async function answerMs(url: string, { model, inputs }: Workload, index: number): Promise<number | null> {
  const input = inputs[index % Math.min(inputs.length, 400)] ?? "";
  const started = performance.now();
  try {
    for await (const { data } of streamGenerate(url, { model, inputs: input })) {
      if (data["error"] !== undefined) return null;
    }
  } catch {
    return null;
  }
  return performance.now() - started;
}

if (parentPort !== null) {
  const port = parentPort;
  const { url, workload, size } = workerData as BurstData;
  port.on("message", async (number: number) => {
    const times = await Promise.all(Array.from({ length: size }, (_, i) => answerMs(url, workload, number * size + i)));
    port.postMessage(times.filter((ms) => ms === null).length);
  });
}
