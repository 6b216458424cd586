// A full queue on the real server: refusals come before anything is spent on a text, each is counted once, and those that are in are answered.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, type RunningServer } from "../../bench/server-process.js";
import { metricSum, scrape } from "../support/metrics-text.js";

const maxQueued = 3;

let server: RunningServer;
before(async () => {
  server = await startServer({ MODEL: "itn-en", MAX_BATCH_ROWS: "1", MAX_QUEUED_REQUESTS: String(maxQueued) });
});
after(() => server.stop());

function post(inputs: string, parameters: object = {}): Promise<Response> {
  return fetch(`${server.url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs, parameters }),
  });
}

const sum = async (name: string, labels: Record<string, string> = {}) =>
  metricSum(await scrape(server.url), `seqserve_${name}`, labels);

async function until(name: string, count: number): Promise<void> {
  for (let tries = 0; (await sum(name)) !== count; tries += 1) {
    assert.ok(tries < 500, `${name} is not ${count}`);
    await sleep(10);
  }
}

const slow = { min_new_tokens: 120, max_new_tokens: 128 };
const tooLong = "twenty two ".repeat(500);

test("a text that is refused for want of room is not looked at", async () => {
  assert.equal((await post(tooLong)).status, 422);
  const running = post("one", slow);
  // It is queued until its first token.
  await until("time_to_first_token_seconds_count", 1);
  const queued = Array.from({ length: maxQueued }, () => post("two", slow));
  await until("queued_requests", maxQueued);
  const refused = await post(tooLong);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  for (const { status } of await Promise.all([running, ...queued])) assert.equal(status, 200);
  assert.equal((await post(tooLong)).status, 422);
  assert.equal(await sum("requests_total", { outcome: "rejected" }), 1);
});

test("of a burst each is answered or refused, and counted as that", async () => {
  const before = { ok: await sum("requests_total", { outcome: "ok" }), rejected: await sum("rejected_total") };
  const answers = await Promise.all(Array.from({ length: 60 }, () => post("twenty two", { num_beams: 1 })));
  const bodies = await Promise.all(answers.map(async (one) => [one.status, await one.json()] as const));
  const accepted = bodies.filter(([status]) => status === 200);
  assert.equal(bodies.filter(([status]) => status === 429).length, 60 - accepted.length);
  assert.ok(accepted.length >= 1 && accepted.length < 60);
  for (const [, body] of accepted) assert.equal((body as { generated_text: string }).generated_text, "22");
  assert.equal((await sum("requests_total", { outcome: "ok" })) - before.ok, accepted.length);
  assert.equal((await sum("rejected_total")) - before.rejected, 60 - accepted.length);
  assert.equal(await sum("requests_total", { outcome: "rejected" }), await sum("rejected_total"));
});
