// webhook_url from POST to the receiver: what is refused before anything runs, and what is called at the end.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { DurableClient } from "../../support/clients/durable-client.js";
import { metricSum } from "../../support/clients/metrics-text.js";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { webhookReceiver, type WebhookReceiver } from "../../support/stand-ins/webhook-receiver.js";
import { until } from "../../support/until.js";

const webhookSecret = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;

let server: TestServer;
let client: DurableClient;
let receiver: WebhookReceiver;
before(async () => {
  server = await testServer({ config: { webhookSecret, webhookPrivate: "allow" } });
  client = new DurableClient(await server.listen());
  receiver = await webhookReceiver();
});
after(async () => {
  await server.close();
  await receiver.close();
});

for (const [title, inputs, status] of [
  ["succeeded", "hello world", "succeeded"],
  ["failed", "a !fail", "failed"],
] as const) {
  test(`a generation that ${title} is told to its webhook, in the words of GET /generations/{id}`, async () => {
    const count = receiver.calls.length;
    const id = await client.start({ inputs, webhook_url: receiver.url, parameters: { details: true } });
    await until(() => receiver.calls.length > count, "the webhook is called");
    const call = receiver.calls.at(-1)!;
    const told = new Webhook(webhookSecret).verify(call.body, call.headers as Record<string, string>);
    assert.deepEqual(told, await client.state(id));
    assert.equal((told as { status: string }).status, status);
    assert.equal(call.headers["webhook-id"], id);
  });
}

test("a cancelled one too, running or queued", async () => {
  const full = await testServer({ config: { webhookSecret, webhookPrivate: "allow" } });
  const own = new DurableClient(await full.listen());
  for (const inputs of ["a !wait", "!wait"]) {
    const count = receiver.calls.length;
    const id = await own.start({ inputs, webhook_url: receiver.url });
    await until(() => full.inference.signals.length > 0, "it runs");
    await own.cancel(id);
    await until(() => receiver.calls.length > count, "the webhook is called");
    assert.equal((JSON.parse(receiver.calls.at(-1)!.body) as { status: string }).status, "cancelled");
  }
  await full.close();
});

test("an Idempotency-Key calls its webhook once", async () => {
  const count = receiver.calls.length;
  const body = { inputs: "once", webhook_url: receiver.url };
  await Promise.all(Array.from({ length: 10 }, () => client.post(body, { "idempotency-key": "hook" })));
  await client.untilStatus(await client.start({ ...body, inputs: "after" }), "succeeded");
  await until(() => receiver.calls.length >= count + 2, "both are called");
  assert.equal(receiver.calls.length, count + 2);
});

test("what can be told of a URL is told before anything runs", async () => {
  const strict = await testServer({ config: { webhookSecret } });
  const own = new DurableClient(await strict.listen());
  const refusals: [string, RegExp][] = [
    ["not a url", /absolute URL/u],
    ["/hook", /absolute URL/u],
    ["ftp://a.example/", /https:\/\/ or http:\/\//u],
    ["file:///etc/passwd", /https:\/\/ or http:\/\//u],
    ["javascript:alert(1)", /https:\/\/ or http:\/\//u],
    ["https://user:secret@a.example/", /user name or password/u],
    ["https://user@a.example/", /user name or password/u],
    ["http://127.0.0.1/", /not public/u],
    ["http://0x7f.1/", /not public/u],
    ["http://[::1]:8080/", /not public/u],
    ["http://[::ffff:10.0.0.1]/", /not public/u],
    ["http://169.254.169.254/latest/meta-data", /not public/u],
    ["", /must not be empty/u],
    [`https://a.example/${"x".repeat(2048)}`, /at most 2048 characters/u],
  ];
  for (const [webhook_url, message] of refusals) {
    const response = await own.post({ inputs: "a", webhook_url });
    const body = (await response.json()) as { error: string; field: string };
    assert.deepEqual([response.status, body.field], [422, "webhook_url"], webhook_url);
    assert.match(body.error, message);
    assert.ok(!body.error.includes("secret"), "and not repeated");
  }
  assert.equal(strict.inference.requests.length, 0);
  await strict.close();
});

test("a name that leads to this machine is called by nobody: given up, counted, and the log holds no URL", async () => {
  const strict = await testServer({ config: { webhookSecret } });
  const own = new DurableClient(await strict.listen());
  const count = receiver.calls.length;
  await own.start({ inputs: "a", webhook_url: `http://localhost:${receiver.port}/hook?token=tellnoone` });
  const given = async () =>
    metricSum(await strict.metrics.text(), "seqserve_webhook_attempts_total", { result: "given_up" });
  await until(async () => (await given()) === 1, "it is given up");
  assert.equal(receiver.calls.length, count);
  const lines = JSON.stringify(strict.lines);
  assert.match(lines, /not public/u);
  assert.ok(!lines.includes("tellnoone"));
  await strict.close();
});

test("a WEBHOOK_SECRET that can't sign stops the start with one line", async () => {
  await assert.rejects(
    testServer({ config: { webhookSecret: "whsec_%%%" } }),
    /^Error: WEBHOOK_SECRET: [^\n]*base64$/u,
  );
});
