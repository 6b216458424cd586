// Two hundred streams at once on the real server with the real models, a fifth of the clients hanging up: the rest is complete and right, and nothing is left behind.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { streamGenerate } from "../../../bench/tools/sse-client.js";
import { workloads } from "../../../bench/tools/workload.js";
import { metricSum, scrape } from "../../support/clients/metrics-text.js";
import { below, seededRandom } from "../../support/random.js";

const streams = 200;
const hangUpShare = 0.2;

let server: RunningServer;
before(async () => {
  server = await startServer({ MAX_QUEUED_REQUESTS: "400" });
});
after(() => server.stop());

interface Request {
  readonly model: string;
  readonly inputs: string;
}

function requests(count: number): Request[] {
  const sets = workloads();
  return Array.from({ length: count }, (_, i) => {
    const { model, inputs } = sets[i % sets.length]!;
    return { model, inputs: inputs[i % 100]! };
  });
}

async function answer({ model, inputs }: Request): Promise<string> {
  const response = await fetch(`${server.url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, inputs }),
  });
  return ((await response.json()) as { generated_text: string }).generated_text;
}

/** Reads a whole stream and checks its shape: ids 1..n, pieces that join to the text, one end. */
async function readWhole(request: Request): Promise<string> {
  const ids: number[] = [];
  let joined = "";
  let text: string | null = null;
  for await (const { id, data } of streamGenerate(server.url, request)) {
    if (id !== null) ids.push(id);
    assert.equal(text, null, "nothing comes after the end");
    if (typeof data["generated_text"] === "string") text = data["generated_text"];
    else joined += (data["token"] as { text: string }).text;
  }
  assert.deepEqual(
    ids.slice(0, -1),
    ids.slice(0, -1).map((_, i) => i + 1),
    "ids count from 1 without gaps",
  );
  assert.equal(joined, text);
  return text ?? "";
}

/** Leaving the loop cancels the body, which closes the connection. */
async function hangUp(request: Request, afterEvents: number): Promise<void> {
  let seen = 0;
  for await (const _ of streamGenerate(server.url, request)) {
    seen += 1;
    if (seen >= afterEvents) break;
  }
}

async function residentBytes(): Promise<number> {
  const status = readFileSync(`/proc/${server.process.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** The metrics once no stream is open and all of these requests have an outcome: those hung up get theirs after their clients left. */
async function settled(requestCount: number): Promise<string> {
  for (let tries = 0; tries < 3000; tries += 1) {
    const text = await scrape(server.url);
    const isOver = metricSum(text, "seqserve_requests_total") >= requestCount;
    if (isOver && metricSum(text, "seqserve_http_streams_open") === 0) return text;
    await sleep(20);
  }
  throw new Error("streams are still open, or requests without an outcome");
}

async function round(random: () => number, expected: ReadonlyMap<string, string>): Promise<number> {
  let hangUps = 0;
  const all = requests(streams).map(async (request) => {
    if (random() < hangUpShare) {
      hangUps += 1;
      return hangUp(request, 1 + below(random, 4));
    }
    assert.equal(await readWhole(request), expected.get(request.model + request.inputs));
  });
  await Promise.all(all);
  return hangUps;
}

test(`${streams} concurrent streams, a fifth hung up: every other one is right, rows are freed, metrics add up, memory returns`, async () => {
  const expected = new Map<string, string>();
  for (const request of requests(streams)) {
    const key = request.model + request.inputs;
    if (!expected.has(key)) expected.set(key, await answer(request));
  }
  const solo = expected.size;
  const random = seededRandom(11);
  await round(random, expected);
  const warm = await residentBytes();
  let hangUps = 0;
  for (let i = 0; i < 3; i += 1) hangUps += await round(random, expected);
  const text = await settled(solo + 4 * streams);
  const outcomes = (outcome: string) => metricSum(text, "seqserve_requests_total", { outcome });
  assert.equal(outcomes("ok") + outcomes("cancelled"), solo + 4 * streams, "every request has one outcome");
  assert.ok(outcomes("cancelled") <= hangUps * 2, "only hang-ups are cancelled");
  assert.equal(outcomes("error") + outcomes("timeout"), 0);
  assert.ok((await residentBytes()) < warm * 1.25 + 64 * 2 ** 20, "memory returns to its level");
});
