// npm run suite -- traces: a request's way through an API node, Redis and a worker, as a real collector has it (Arize Phoenix, from PyPI). Makes its
// environment under .venv/ the first time, which takes minutes; needs python3 and redis-server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "../../support/servers/cluster.js";
import { guarded } from "../../../bench/tools/child-guard.js";
import { pythonEnvironment } from "../../support/python/environment.js";
import { freePort } from "../../support/servers/redis.js";

interface KeptSpan {
  readonly name: string;
  readonly context: { readonly trace_id: string; readonly span_id: string };
  readonly parent_id: string | null;
}

const caller = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const patienceMs = 120_000;

async function until<T>(look: () => Promise<T | null>, what: string): Promise<T> {
  for (const started = performance.now(); performance.now() - started < patienceMs; await sleep(250)) {
    const found = await look().catch(() => null);
    if (found !== null) return found;
  }
  throw new Error(`not within ${patienceMs} ms: ${what}`);
}

const python = `${await pythonEnvironment("traces", "test/suites/traces/requirements.txt")}/python`;
const folder = mkdtempSync(join(tmpdir(), "seqserve-phoenix-"));
const [port, grpcPort] = [await freePort(), await freePort()];
const url = `http://127.0.0.1:${port}`;
const collector = guarded(
  spawn(python, ["-m", "phoenix.server.main", "serve"], {
    stdio: "ignore",
    env: {
      ...process.env,
      PHOENIX_WORKING_DIR: folder,
      PHOENIX_HOST: "127.0.0.1",
      PHOENIX_PORT: String(port),
      PHOENIX_GRPC_PORT: String(grpcPort),
      PHOENIX_TELEMETRY_ENABLED: "false",
    },
  }),
);
const stopped = once(collector, "exit");

async function keptSpans(count: number): Promise<readonly KeptSpan[] | null> {
  const answer = await fetch(`${url}/v1/projects/default/spans?limit=100`);
  if (!answer.ok) return null;
  const { data } = (await answer.json()) as { readonly data: readonly KeptSpan[] };
  return data.length >= count ? data : null;
}

const pathTo = (spans: readonly KeptSpan[], { name, parent_id }: KeptSpan): string => {
  const parent = spans.find(({ context }) => context.span_id === parent_id);
  return parent === undefined ? `${parent_id} > ${name}` : `${pathTo(spans, parent)} > ${name}`;
};

try {
  await until(async () => ((await fetch(`${url}/healthz`)).ok ? true : null), "the collector answers");
  const cluster = await Cluster.start({ env: { MODEL: "itn-en", THREADS: "1", OTEL_EXPORTER_OTLP_ENDPOINT: url } });
  try {
    const answer = await fetch(`${cluster.apis[0]?.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json", traceparent: `00-${caller.traceId}-${caller.spanId}-01` },
      body: JSON.stringify({ inputs: "one hundred and twenty three dollars" }),
    });
    assert.equal(answer.status, 200);
    const spans = await until(() => keptSpans(7), "seven spans are kept");
    assert.ok(spans.every(({ context }) => context.trace_id === caller.traceId));
    const request = `${caller.spanId} > POST /generate`;
    const generation = `${request} > text_completion itn-en`;
    const run = `${generation} > run itn-en`;
    const paths = spans.map((span) => pathTo(spans, span)).sort();
    const expected = [request, generation, `${generation} > queue`, run];
    assert.deepEqual(paths, [...expected, ...["queue", "encode", "decode"].map((name) => `${run} > ${name}`)].sort());
    for (const path of paths) process.stdout.write(`${path}\n`);
  } finally {
    await cluster.close();
  }
} finally {
  collector.kill("SIGTERM");
  await stopped;
  rmSync(folder, { recursive: true, force: true });
}
