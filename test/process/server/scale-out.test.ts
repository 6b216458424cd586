// Real processes over a real Redis with a shipped model: streams outlive kills, drains, pauses and restarts, token for token.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Cluster, type ServerProcess } from "../../support/servers/cluster.js";
import { EngineGate } from "../../support/servers/engine-gate.js";
import { metricSum } from "../../support/clients/metrics-text.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { until } from "../../support/until.js";
import { wireEvents } from "../../support/servers/scripted.js";

const gate = new EngineGate(16);
after(() => gate[Symbol.dispose]());
const env = { MODEL: "itn-en", THREADS: "1", ...gate.env };
const inputs = "one hundred and twenty three dollars and forty five cents on march the third twenty twenty one";
// No end before the last token; the gate stands before that.
const parameters = { max_new_tokens: 128, min_new_tokens: 128 };
const skip = withoutRedis;

interface Stream {
  readonly text: string;
  readonly ids: readonly number[];
  readonly tokens: readonly number[];
}

async function stream(api: ServerProcess, onText: (text: string) => unknown = () => undefined): Promise<Stream> {
  const answer = await fetch(`${api.url}/generate_stream`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs, parameters }),
  });
  assert.equal(answer.status, 200, answer.body === null ? "" : "no stream");
  let text = "";
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    await onText(text);
  }
  const events = wireEvents(text);
  assert.equal(events.filter(({ event }) => event === "end").length, 1, text.slice(-500));
  const last = events.at(-1)!;
  assert.equal(last.event, "end");
  return {
    text: String(last.data["generated_text"]),
    ids: events.map(({ id }) => id ?? 0),
    tokens: events.slice(0, -1).map(({ data }) => (data["token"] as { id: number }).id),
  };
}

function assertSame(actual: Stream, expected: Stream): void {
  assert.deepEqual(actual, expected);
  assert.deepEqual(
    actual.ids,
    actual.ids.map((_, i) => i + 1),
  );
}

const running = (cluster: Cluster) =>
  cluster.workers.find((worker) => worker.logged("generation taken").length > worker.logged("generation left").length);

async function metric(process: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${process.url}/metrics`)).text();
  return metricSum(text, `seqserve_${name}`, {});
}

/** Acts once, on the worker that has the generation, when ten tokens are there and no more come before it has acted. */
function once(cluster: Cluster, act: (worker: ServerProcess) => Promise<unknown>) {
  let isDone = false;
  gate.close();
  return async (text: string) => {
    if (isDone || text.split("\n\n").length < 10) return;
    isDone = true;
    await until(() => running(cluster) !== undefined, "a worker has it");
    await act(running(cluster)!);
    gate.open();
  };
}

test("a worker is killed in the middle: the stream goes on, and is the same", { skip }, async () => {
  await using cluster = await Cluster.start({ workers: 2, env });
  const [api] = cluster.apis;
  const expected = await stream(api!);
  assertSame(
    await stream(
      api!,
      once(cluster, (worker) => worker.kill("SIGKILL")),
    ),
    expected,
  );
  const survivors = await Promise.all(
    cluster.workers.map((worker) => metric(worker, "job_redeliveries_total").catch(() => 0)),
  );
  assert.equal(Math.max(...survivors), 1);
});

test("a worker is drained in the middle: it hands over and exits with 0", { skip }, async () => {
  await using cluster = await Cluster.start({ workers: 2, env: { ...env, DRAIN_TIMEOUT_MS: "0" } });
  const [api] = cluster.apis;
  const expected = await stream(api!);
  let drained: ServerProcess | null = null;
  const act = async (worker: ServerProcess) => {
    drained = worker;
    worker.signal("SIGTERM");
  };
  assertSame(await stream(api!, once(cluster, act)), expected);
  assert.ok(drained !== null);
  const { exited, errors, lines } = drained as ServerProcess;
  assert.equal(await exited, 0, errors);
  assert.equal(lines.filter(({ msg }) => msg === "generation handed over").length, 1);
});

test(
  "a worker is paused until another has its generation: what it says afterwards is not heard",
  { skip },
  async () => {
    await using cluster = await Cluster.start({ workers: 2, env });
    const [api] = cluster.apis;
    const expected = await stream(api!);
    let paused: ServerProcess | null = null;
    const act = async (worker: ServerProcess) => {
      paused = worker;
      await worker.kill("SIGSTOP");
      const others = cluster.workers.filter((other) => other !== worker);
      await others[0]!.until(() => others[0]!.logged("generation taken").length > 0);
      await worker.kill("SIGCONT");
    };
    assertSame(await stream(api!, once(cluster, act)), expected);
    const woken = paused as unknown as ServerProcess;
    await woken.until(() => woken.logged("generation taken").length === woken.logged("generation left").length);
    assert.equal((await woken.ready()).status, 200);
  },
);

test("Redis restarts in the middle: refused meanwhile, the stream goes on", { skip }, async () => {
  await using cluster = await Cluster.start({ workers: 1, env, isDurable: true });
  const [api] = cluster.apis;
  const [worker] = cluster.workers;
  const expected = await stream(api!);
  const act = async () => {
    await cluster.redis.kill();
    await api!.until(async () => (await api!.ready()).status === 503);
    await worker!.until(async () => (await worker!.ready()).status === 503);
    assert.deepEqual((await api!.ready()).body["reason"], "Redis can't be reached");
    const refused = await fetch(`${api!.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs: "one" }),
    });
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    await cluster.redis.restart();
  };
  assertSame(await stream(api!, once(cluster, act)), expected);
  assert.equal((await api!.ready()).status, 200);
});

test("processes start without Redis, say so, and serve when it is there", { skip }, async () => {
  await using cluster = await Cluster.start({ apis: 0, workers: 0, env });
  await cluster.redis.kill();
  const [api, worker] = [cluster.addApi(), cluster.addWorker()];
  for (const process of [cluster.apis[0]!, cluster.workers[0]!]) {
    await process.until(async () => (await process.ready()).body["reason"] === "Redis can't be reached");
  }
  await cluster.redis.restart();
  await Promise.all([api, worker]);
  await cluster.apis[0]!.untilServed();
  assert.ok((await stream(cluster.apis[0]!)).tokens.length > 10);
});

test("ROLE=all: two processes share the work; one leaves, its requests are answered", { skip }, async () => {
  await using cluster = await Cluster.start({
    apis: 0,
    workers: 0,
    alls: 2,
    env: { ...env, DRAIN_TIMEOUT_MS: "60000" },
  });
  const [first, second] = cluster.alls;
  const expected = await stream(second!);
  gate.close();
  const streams: Promise<Stream>[] = [];
  const begun = Array.from({ length: 8 }, (_, i) => {
    return new Promise<void>((resolve) => {
      const onText = (text: string) => text.includes("data: ") && resolve();
      streams.push(stream(i % 2 === 0 ? first! : second!, onText));
    });
  });
  // Each has a token, or one failed.
  await Promise.race([Promise.all(begun), Promise.all(streams)]);
  first!.signal("SIGTERM");
  gate.open();
  for (const actual of await Promise.all(streams)) assertSame(actual, expected);
  assert.equal(await first!.exited, 0, first!.errors);
});

test("a worker answers probes and metrics, nothing else", { skip }, async () => {
  await using cluster = await Cluster.start({ apis: 0, workers: 1, env });
  const [worker] = cluster.workers;
  assert.equal((await fetch(`${worker!.url}/generate`, { method: "POST" })).status, 404);
  assert.equal((await fetch(`${worker!.url}/models`)).status, 404);
  assert.equal((await fetch(`${worker!.url}/health/live`)).status, 200);
  assert.equal(await metric(worker!, "redis_up"), 1);
  assert.equal(await worker!.kill("SIGTERM"), 0, worker!.errors);
});
