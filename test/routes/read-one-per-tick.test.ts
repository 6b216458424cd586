// One body of each model per tick, over real connections, on an event loop whose ticks the test gives.
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import Fastify from "fastify";
import { FairQueue } from "../../src/inference/host/fair-queue.js";
import type { App } from "../../src/routes/http/app.js";
import { readOnePerTick } from "../../src/routes/http/hooks.js";

async function serverByHand(t: TestContext) {
  const deferred: (() => void)[] = [];
  const arrived: string[] = [];
  const handled: string[] = [];
  const app = Fastify();
  app.addHook("onRequest", async ({ headers }) => void arrived.push(String(headers["x-label"])));
  readOnePerTick(app as unknown as App, new FairQueue((next) => deferred.push(next)));
  app.post("/", async ({ headers }) => {
    handled.push(String(headers["x-label"]));
    return "";
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  const tick = () => deferred.shift()?.();
  return { port, arrived, handled, tick };
}

/** A client with one connection that stays open. */
function clientOf(t: TestContext, port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return async (label: string, model: string) => {
    const headers = { "content-type": "application/json", "x-label": label };
    const sent = request({ port, host: "127.0.0.1", method: "POST", agent, headers }).end(JSON.stringify({ model }));
    const [response] = await once(sent, "response");
    response.resume();
    await once(response, "end");
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

test("connections that asked for one model wait for each other, not another model's", async (t) => {
  const { port, arrived, handled, tick } = await serverByHand(t);
  const [first, second, quiet] = [clientOf(t, port), clientOf(t, port), clientOf(t, port)];
  for (const [send, model] of [
    [first, "busy"],
    [second, "busy"],
    [quiet, "quiet"],
  ] as const) {
    await send("before", model);
    tick();
  }
  const one = first("busy 1", "busy");
  await until(() => arrived.includes("busy 1"));
  const two = second("busy 2", "busy");
  await until(() => arrived.includes("busy 2"));
  await Promise.all([one, quiet("quiet", "quiet")]);
  assert.deepEqual(handled.slice(3), ["busy 1", "quiet"]);
  tick();
  await two;
  assert.deepEqual(handled.slice(3), ["busy 1", "quiet", "busy 2"]);
});
