// Real traffic on the real server with the shipped models: every counter adds up with what clients saw, and times spread over buckets.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { workloads } from "../../../bench/tools/workload.js";
import { metricSum, scrape } from "../../support/clients/metrics-text.js";

const perModel = 60;

let server: RunningServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

interface Seen {
  model: string;
  usage: { source_tokens: number; generated_tokens: number };
  reason: string;
}

async function generate(body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${server.url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function traffic(): Promise<Seen[]> {
  const requests = workloads().flatMap(({ model, inputs }) =>
    inputs.slice(0, perModel).map((text) => ({ model, text })),
  );
  const seen: Seen[] = [];
  const lane = async () => {
    for (let next = requests.shift(); next !== undefined; next = requests.shift()) {
      const { status, body } = await generate({ model: next.model, inputs: next.text });
      assert.equal(status, 200);
      const [output] = body["outputs"] as { finish_reason: string }[];
      seen.push({ model: next.model, usage: body["usage"] as Seen["usage"], reason: output!.finish_reason });
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return seen;
}

/** Upper bounds of the buckets that hold something, and how much each holds. */
function filledBuckets(text: string, name: string, model: string): { bound: number; count: number }[] {
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith(`${name}_bucket`) && line.includes(`model="${model}"`));
  const bounds = lines.map((line) => Number(/le="([^"]+)"/.exec(line)![1]!.replace("+Inf", "Infinity")));
  const totals = lines.map((line) => Number(line.split(" ").at(-1)));
  return totals
    .map((total, i) => ({ bound: bounds[i]!, count: total - (i === 0 ? 0 : totals[i - 1]!) }))
    .filter(({ count }) => count > 0);
}

test("counters add up with what the clients saw, and times tell fast from slow", async () => {
  const seen = await traffic();
  assert.equal((await generate({ model: "itn-en", inputs: "one", parameters: { nonsense: 1 } })).status, 422);
  const text = await scrape(server.url);
  for (const { model } of workloads()) {
    const own = seen.filter((answer) => answer.model === model);
    const generated = own.reduce((sum, { usage }) => sum + usage.generated_tokens, 0);
    const source = own.reduce((sum, { usage }) => sum + usage.source_tokens, 0);
    const of = (name: string, labels = {}) => metricSum(text, `seqserve_${name}`, { model, ...labels });

    assert.equal(of("requests_total"), perModel);
    assert.equal(of("requests_total", { outcome: "ok" }), perModel);
    assert.equal(of("requests_running"), 0);
    assert.equal(of("generated_tokens_total"), generated);
    assert.equal(of("engine_tokens_total"), generated);
    assert.equal(of("request_generated_tokens_sum"), generated);
    assert.equal(of("source_tokens_total"), source);
    assert.equal(of("request_source_tokens_sum"), source);
    assert.equal(of("encoded_sources_total"), perModel);
    for (const reason of new Set(own.map((answer) => answer.reason))) {
      assert.equal(of("finish_reasons_total", { reason }), own.filter((answer) => answer.reason === reason).length);
    }

    // One gap fewer than tokens; every row of every greedy step became a token.
    assert.equal(of("time_to_first_token_seconds_count"), perModel);
    assert.equal(of("inter_token_latency_seconds_count"), generated - perModel);
    assert.equal(of("batch_rows_sum"), generated);
    assert.equal(of("batch_rows_count"), of("steps_total"));
    assert.ok(of("steps_total") < generated, "requests shared steps");

    for (const name of ["inter_token_latency_seconds", "time_to_first_token_seconds", "request_duration_seconds"]) {
      const filled = filledBuckets(text, `seqserve_${name}`, model);
      assert.ok(filled.length >= 2, `${name} of ${model} tells fast from slow`);
      assert.ok(
        filled.every(({ bound }) => Number.isFinite(bound)),
        `${name} of ${model} has no value beyond its buckets`,
      );
    }
  }
  assert.equal(
    metricSum(text, "seqserve_http_request_duration_seconds_count", { route: "/generate" }),
    seen.length + 1,
  );
  assert.equal(metricSum(text, "seqserve_http_request_duration_seconds_count", { status_class: "4xx" }), 1);
  assert.equal(metricSum(text, "seqserve_queued_requests"), 0);
});
