// Numbers off the processes' own /metrics.
import type { Place } from "./cluster.js";

/** A metric's samples added up over processes and labels; those whose labels hold `where`. */
export async function metricSum(places: readonly Place[], name: string, where = ""): Promise<number> {
  let sum = 0;
  for (const { url } of places) {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const line of text.split("\n")) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (line.includes(where)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
  }
  return sum;
}
