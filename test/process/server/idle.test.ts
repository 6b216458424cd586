// A model that unloads for want of requests and comes back, through HTTP: /models, /info, /health and /metrics tell the same story.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { metricSum, scrape } from "../../support/clients/metrics-text.js";

const model = "g2p-en";

let server: RunningServer;
before(async () => {
  server = await startServer({ MODEL: model, IDLE_UNLOAD_MS: "1500", ENGINES: "1" });
});
after(() => server.stop());

interface Model {
  readonly name: string;
  readonly state: string;
  readonly engines: number;
  readonly vocab_size: number;
  readonly limits: object;
  readonly memory: { weight_bytes: number | null; loaded_bytes: number | null };
}

async function get<T>(path: string): Promise<{ status: number; body: T }> {
  const response = await fetch(server.url + path);
  return { status: response.status, body: (await response.json()) as T };
}

async function told(): Promise<Model> {
  const { body } = await get<Model>(`/models/${model}`);
  const all = await get<{ default: string; models: Model[] }>("/models");
  const info = await get<{ model_id: string; models: Model[] }>("/info");
  // The state may change between two answers, but not back and forth.
  if (all.body.models[0]?.state === body.state) assert.deepEqual(all.body, { default: model, models: [body] });
  if (info.body.models[0]?.state === body.state) assert.deepEqual(info.body.models, [body]);
  return body;
}

async function untilIdle(): Promise<Model> {
  for (let tries = 0; tries < 1200; tries += 1) {
    const found = await told();
    // Engines take their time to close; the gauge falls when they have.
    if (found.state === "idle" && (await gauges()).loaded === 0) return found;
    await sleep(50);
  }
  throw new Error("the model did not unload");
}

async function gauges(): Promise<Record<"loaded" | "loads" | "weights", number>> {
  const text = await scrape(server.url);
  const of = (name: string) => metricSum(text, `seqserve_model_${name}`, { model });
  return { loaded: of("loaded"), loads: of("loads_total"), weights: of("weights_bytes") };
}

async function generate(): Promise<string> {
  const response = await fetch(`${server.url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, inputs: "hello" }),
  });
  assert.equal(response.status, 200);
  return ((await response.json()) as { generated_text: string }).generated_text;
}

test("an idle model keeps its place, its limits and the bytes of its files, has no engines, and the server stays ready", async () => {
  const first = await generate();
  const idle = await untilIdle();
  assert.equal(idle.engines, 0);
  assert.ok((idle.memory.weight_bytes ?? 0) > 2_000_000);
  assert.ok(idle.vocab_size > 0);
  const health = await get<{ status: string; models: Record<string, string> }>("/health");
  assert.deepEqual([health.status, health.body.status, health.body.models], [200, "ready", { [model]: "idle" }]);
  assert.equal((await get("/health/ready")).status, 200);
  const before = await gauges();
  assert.equal(before.weights, idle.memory.weight_bytes);

  assert.equal(await generate(), first);
  const text = await scrape(server.url);
  const back = await told();
  // It may be idle again by now on a slow machine; its loads are counted all the same.
  if (back.state === "ready") {
    assert.equal(back.engines, 1);
    assert.equal(metricSum(text, "seqserve_model_loaded", { model }), 1);
    assert.equal(metricSum(text, "seqserve_model_loaded_bytes", { model }), back.memory.loaded_bytes);
  }
  const { state: _, engines: __, memory, ...same } = back;
  const { state: ___, engines: ____, memory: kept, ...expected } = idle;
  assert.deepEqual({ ...same, load_ms: 0 }, { ...expected, load_ms: 0 });
  assert.equal(memory.weight_bytes, kept.weight_bytes);
  assert.equal((await gauges()).loads, before.loads + 1);
  assert.equal((await untilIdle()).engines, 0);
});
