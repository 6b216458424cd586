// A thread that offers requests at a rate, whatever comes back, or as a number of clients that wait for their answers. Tells how long each took.
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

export interface Offer {
  readonly url: string;
  readonly bodies: readonly object[];
  /** Used when there is no rate. */
  readonly clients: number;
  readonly perSecond: number | null;
  readonly seconds: number;
}

export interface Offered {
  /** Milliseconds to the whole answer: 200. */
  readonly acceptedMs: number[];
  /** 429. */
  readonly refusedMs: number[];
  /** Everything else. */
  otherwise: number;
}

const offer = workerData as Offer;
const offered: Offered = { acceptedMs: [], refusedMs: [], otherwise: 0 };
const agent = new Agent({ keepAlive: true, maxSockets: 2048 });
const bodies = offer.bodies.map((body) => JSON.stringify(body));
const endsAt = performance.now() + offer.seconds * 1000;
let next = 0;

function ask(): Promise<void> {
  const body = bodies[next++ % bodies.length] ?? "";
  const started = performance.now();
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve) => {
    const sent = request(`${offer.url}/generate`, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.on("close", () => {
        const ms = performance.now() - started;
        if (response.statusCode === 200) offered.acceptedMs.push(ms);
        else if (response.statusCode === 429) offered.refusedMs.push(ms);
        else offered.otherwise += 1;
        resolve();
      });
    });
    sent.on("error", () => {
      offered.otherwise += 1;
      resolve();
    });
    sent.end(body);
  });
}

async function atRate(perSecond: number): Promise<void> {
  const open = new Set<Promise<void>>();
  const started = performance.now();
  for (let sent = 0; performance.now() < endsAt;) {
    const due = ((performance.now() - started) / 1000) * perSecond;
    for (; sent < due; sent += 1) {
      const one = ask().finally(() => open.delete(one));
      open.add(one);
    }
    await sleep(5);
  }
  await Promise.all(open);
}

async function asClients(clients: number): Promise<void> {
  const client = async () => {
    while (performance.now() < endsAt) await ask();
  };
  await Promise.all(Array.from({ length: clients }, client));
}

await (offer.perSecond === null ? asClients(offer.clients) : atRate(offer.perSecond));
agent.destroy();
parentPort?.postMessage(offered, []);
