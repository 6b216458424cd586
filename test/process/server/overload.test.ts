// A full queue on the real server: refusals come before anything is spent on a text, each is counted once, and those that are in are answered.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { metricSum, scrape } from "../../support/clients/metrics-text.js";
import { until } from "../../support/until.js";

const maxQueued = 3;
const endless = 65_536;

let folder: string;
let server: RunningServer;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "seqserve-overload-"));
  await copyWithoutLimit("g2p-en");
  const limits = { MAX_BATCH_ROWS: "1", MAX_QUEUED_REQUESTS: String(maxQueued), MAX_NEW_TOKENS: String(endless) };
  server = await startServer({ MODELS_DIR: folder, ...limits });
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

/** A recurrent model goes on for as long as it is let: no test has to be faster than it. */
async function copyWithoutLimit(model: string): Promise<void> {
  await cp(join("models", model), join(folder, model), { recursive: true });
  const file = join(folder, model, "seqserve.json");
  const manifest = JSON.parse(await readFile(file, "utf8")) as { target: { maxLength: number } };
  manifest.target.maxLength = endless;
  await writeFile(file, JSON.stringify(manifest));
}

interface Answer {
  readonly status: number;
  readonly retryAfter: number;
  readonly text?: string;
}

async function post(inputs: string, parameters: object = {}, signal?: AbortSignal): Promise<Answer> {
  const response = await fetch(`${server.url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs, parameters }),
    ...(signal !== undefined && { signal }),
  });
  const { generated_text: text } = (await response.json()) as { generated_text?: string };
  const retryAfter = Number(response.headers.get("retry-after"));
  return { status: response.status, retryAfter, ...(text !== undefined && { text }) };
}

const sum = async (name: string, labels: Record<string, string> = {}) =>
  metricSum(await scrape(server.url), `seqserve_${name}`, labels);

function untilSum(name: string, count: number): Promise<void> {
  return until(async () => (await sum(name)) === count, `${name} is ${count}`);
}

/** Takes the only row; gives it back when the answer is no longer wanted. */
async function takeTheRow(): Promise<{ giveBack(): Promise<void> }> {
  const begun = await sum("time_to_first_token_seconds_count");
  const leave = new AbortController();
  const running = post("word", { min_new_tokens: endless, max_new_tokens: endless }, leave.signal);
  const left = assert.rejects(running, { name: "AbortError" });
  // It is queued until its first token.
  await untilSum("time_to_first_token_seconds_count", begun + 1);
  return {
    giveBack: () => {
      leave.abort();
      return left;
    },
  };
}

test("a text that is refused for want of room is not looked at", async () => {
  const tooLong = "a".repeat(41);
  assert.equal((await post(tooLong)).status, 422);
  const row = await takeTheRow();
  const queued = Array.from({ length: maxQueued }, () => post("hello"));
  await untilSum("queued_requests", maxQueued);
  const refused = await post(tooLong);
  assert.equal(refused.status, 429);
  assert.ok(refused.retryAfter >= 1);
  await row.giveBack();
  for (const { status } of await Promise.all(queued)) assert.equal(status, 200);
  assert.equal((await post(tooLong)).status, 422);
  assert.equal(await sum("requests_total", { outcome: "rejected" }), 1);
});

test("of a burst those that find room are answered and the rest refused, each counted as that", async () => {
  const alone = await post("hello");
  const before = { ok: await sum("requests_total", { outcome: "ok" }), rejected: await sum("rejected_total") };
  const row = await takeTheRow();
  const sent = Array.from({ length: 60 }, () => post("hello"));
  await untilSum("rejected_total", before.rejected + 60 - maxQueued);
  await row.giveBack();
  const answers = await Promise.all(sent);
  const accepted = answers.filter(({ status }) => status === 200);
  assert.equal(accepted.length, maxQueued);
  for (const { text } of accepted) assert.equal(text, alone.text);
  for (const { status } of answers) assert.ok(status === 200 || status === 429);
  assert.equal((await sum("requests_total", { outcome: "ok" })) - before.ok, maxQueued);
  assert.equal(await sum("requests_total", { outcome: "rejected" }), await sum("rejected_total"));
});
