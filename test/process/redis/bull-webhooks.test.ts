// Webhooks over Redis: one call per ended generation, whoever noticed the end; retried by any API node; also when its API node is gone.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Generate } from "../../../src/generation.js";
import type { ApiNodeOptions } from "../../../src/queue/bull/api-node.js";
import { recordOf, Script } from "../../support/contracts/generations-contract.js";
import { startApi, startWorker } from "../../support/servers/nodes.js";
import { RedisServer, withoutRedis } from "../../support/servers/redis.js";
import { webhookReceiver } from "../../support/stand-ins/webhook-receiver.js";

const patience = 20_000;

async function until(what: string, condition: () => unknown): Promise<void> {
  for (const start = performance.now(); performance.now() - start < patience; await sleep(10)) {
    if (await condition()) return;
  }
  assert.fail(`${what}: not within ${patience} ms`);
}

describe("webhooks over Redis", { skip: withoutRedis }, () => {
  let redis: RedisServer;
  const open: (() => Promise<void>)[] = [];
  before(async () => (redis = await RedisServer.start()));
  after(() => redis.stop());
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  const results: string[] = [];
  const webhooks: ApiNodeOptions["webhooks"] = {
    secret: "secret",
    allowPrivate: true,
    firstDelayMs: 20,
    write: ({ record, terminal }) => JSON.stringify({ id: record.id, end: terminal?.type }),
    onAttempt: (result) => void results.push(result),
  };
  const place = () => ({ url: redis.url, prefix: randomBytes(4).toString("hex") });
  const api = async (where: ReturnType<typeof place>) => {
    const started = startApi({ ...where, webhooks });
    open.push(started.close);
    await started.node.untilUp();
    return started;
  };
  const worker = (where: ReturnType<typeof place>, generate: Generate) => {
    const started = startWorker((prepared, _logged, signal) => generate(prepared, signal), where);
    open.push(() => started.close(0));
  };
  const receiver = async (plan?: Parameters<typeof webhookReceiver>[0]) => {
    const started = await webhookReceiver(plan);
    open.push(started.close);
    return started;
  };

  test("each end is told once, though worker and API node both put it in; those without a webhook are not", async () => {
    const where = place();
    const hook = await receiver();
    const nodes = [await api(where), await api(where)];
    worker(where, new Script().generate);
    const records = [2, 3, 4].map((tokens) => recordOf({ tokens }, { webhookUrl: hook.url }));
    for (const record of [...records, recordOf({ tokens: 1 })]) await nodes[0]!.node.generations.start(record);
    await until("three calls", () => hook.calls.length === 3);
    await sleep(200);
    assert.deepEqual(
      hook.calls.map(({ body }) => (JSON.parse(body) as { id: string }).id).sort(),
      records.map(({ id }) => id).sort(),
    );
  });

  test("a call that fails for now is made again; one that is refused is not", async () => {
    const where = place();
    const [failing, refusing] = [await receiver([{ status: 503 }, { status: 200 }]), await receiver([{ status: 400 }])];
    const { node } = await api(where);
    worker(where, new Script().generate);
    results.length = 0;
    await node.generations.start(recordOf({ tokens: 1 }, { webhookUrl: failing.url }));
    await until("two calls", () => failing.calls.length === 2);
    assert.equal(failing.calls[0]!.headers["webhook-id"], failing.calls[1]!.headers["webhook-id"]);
    await node.generations.start(recordOf({ tokens: 1 }, { webhookUrl: refusing.url }));
    await until("all results", () => results.length === 3);
    assert.deepEqual(results, ["retried", "delivered", "given_up"]);
    assert.equal(refusing.calls.length, 1);
  });

  test("a generation whose API node has gone is told by another", async () => {
    const where = place();
    const hook = await receiver();
    const script = new Script();
    script.hold(1);
    const first = startApi({ ...where, webhooks });
    await first.node.untilUp();
    await first.node.generations.start(recordOf({ tokens: 3 }, { webhookUrl: hook.url }));
    await first.close();
    await api(where);
    worker(where, script.generate);
    script.release();
    await until("a call", () => hook.calls.length === 1);
  });

  test("a cancelled one is told too", async () => {
    const where = place();
    const hook = await receiver();
    const { node } = await api(where);
    const record = recordOf({ tokens: 3 }, { webhookUrl: hook.url });
    await node.generations.start(record);
    assert.equal(await node.generations.cancel(record.id), true);
    await until("a call", () => hook.calls.length === 1);
    assert.deepEqual(JSON.parse(hook.calls[0]!.body), { id: record.id, end: "failure" });
  });
});
