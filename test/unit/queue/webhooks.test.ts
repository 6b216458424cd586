// Webhooks against a real receiver: signatures that the Standard Webhooks library accepts, addresses, redirects, retries.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import type { WebhookResult } from "../../../src/telemetry/metrics.js";
import { isPublicAddress } from "../../../src/queue/webhooks/webhook-address.js";
import { retryDelayMs, webhookAttempts, WebhookTimers } from "../../../src/queue/webhooks/webhook-timers.js";
import { deliver, retryAfterMs, signingKey, WebhookError } from "../../../src/queue/webhooks/webhooks.js";
import { webhookReceiver, type PlannedAnswer, type WebhookReceiver } from "../../support/stand-ins/webhook-receiver.js";
import { until } from "../../support/until.js";

const secret = `whsec_${Buffer.from("a secret of thirty-two bytes, ok").toString("base64")}`;
const options = { messageId: "0123456789abcdef0123456789abcdef", allowPrivate: true };

async function withReceiver(plan: PlannedAnswer[], body: (receiver: WebhookReceiver) => Promise<void>): Promise<void> {
  const receiver = await webhookReceiver(plan);
  await body(receiver).finally(() => receiver.close());
}

function fails(isRetryable: boolean, message: RegExp, waitMs: number | null = null) {
  return (error: unknown) => {
    assert.ok(error instanceof WebhookError);
    assert.match(error.message, message);
    assert.equal(error.isRetryable, isRetryable);
    assert.equal(error.retryAfterMs, waitMs);
    return true;
  };
}

test("a call is signed as Standard Webhooks says, with base64 secrets and with plain ones", async () => {
  await withReceiver([{ status: 204 }], async (receiver) => {
    const body = JSON.stringify({ id: "x", text: "grüße 🙂" });
    await deliver(receiver.url, body, secret, options);
    await deliver(receiver.url, body, "plain text", options);
    const [first, second] = receiver.calls;
    const headers = (call: typeof first) => call!.headers as Record<string, string>;
    assert.deepEqual(new Webhook(secret).verify(first!.body, headers(first)), JSON.parse(body));
    assert.ok(new Webhook("plain text", { format: "raw" }).verify(second!.body, headers(second)));
    assert.throws(() => new Webhook("whsec_b3RoZXI=").verify(first!.body, headers(first)), /signature/u);
    assert.throws(() => new Webhook(secret).verify(`${first!.body} `, headers(first)), /signature/u);
    assert.equal(first!.headers["webhook-id"], options.messageId);
    assert.match(first!.headers["content-type"]!, /^application\/json/u);
  });
});

test("a secret behind whsec_ must be base64", () => {
  assert.throws(() => signingKey("whsec_not base64!"), /WEBHOOK_SECRET/u);
  assert.throws(() => signingKey("whsec_"), /WEBHOOK_SECRET/u);
  assert.equal(signingKey("whsec_YWJj").toString(), "abc");
});

test("busy and broken receivers are tried again, others not", async () => {
  for (const status of [408, 429, 500, 502, 503]) {
    await withReceiver([{ status }], async ({ url }) => {
      await assert.rejects(deliver(url, "{}", secret, options), fails(true, new RegExp(`^answered ${status}$`, "u")));
    });
  }
  for (const status of [300, 304, 400, 401, 404, 410, 422]) {
    await withReceiver([{ status }], async ({ url }) => {
      await assert.rejects(deliver(url, "{}", secret, options), fails(false, /answered/u));
    });
  }
  await withReceiver([{ status: 503, headers: { "retry-after": "7" } }], async ({ url }) => {
    await assert.rejects(deliver(url, "{}", secret, options), fails(true, /503/u, 7000));
  });
});

test("a redirect is not followed", async () => {
  await withReceiver([{ status: 200 }], async (goal) => {
    await withReceiver([{ status: 307, headers: { location: goal.url } }], async ({ url }) => {
      await assert.rejects(deliver(url, "{}", secret, options), fails(false, /^answered 307$/u));
      assert.equal(goal.calls.length, 0);
    });
  });
});

test("a receiver that is silent or not there is tried again", async () => {
  await withReceiver([{ status: 200, hangs: true }], async ({ url }) => {
    await assert.rejects(deliver(url, "{}", secret, { ...options, timeoutMs: 100 }), fails(true, /no answer in time/u));
  });
  const { url, close } = await webhookReceiver();
  await close();
  await assert.rejects(deliver(url, "{}", secret, options), fails(true, /^the network failed \(ECONNREFUSED\)$/u));
  await assert.rejects(
    deliver("http://no-such-name.invalid/", "{}", secret, options),
    fails(true, /^the network failed \((ENOTFOUND|EAI_AGAIN)\)$/u),
  );
});

test("private addresses are refused, written literally or behind a name, and nothing is sent", async () => {
  await withReceiver([{ status: 200 }], async ({ port, calls }) => {
    const hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "127.0.0.1."];
    for (const host of hosts) {
      const sent = deliver(`http://${host}:${port}/hook`, "{}", secret, { ...options, allowPrivate: false });
      await assert.rejects(sent, fails(false, /not public/u), host);
    }
    assert.equal(calls.length, 0);
    await deliver(`http://localhost:${port}/hook`, "{}", secret, options);
    assert.equal(calls.length, 1, "the name does lead here");
  });
});

test("what counts as public", () => {
  const closed = [
    "0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.1.1.1 169.254.169.254 172.16.0.1 172.31.255.255",
    "192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1",
    "224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::ffff:8.8.8.8 ::ffff:10.0.0.1",
    "::8.8.8.8 64:ff9b::808:808 64:ff9b:1::1 100::1 fc00::1 fd12::1 fe80::1 fe80::1%eth0 fec0::1",
    "ff02::1 2001::1 2001:10::1 2001:20::1 2001:db8::1 2002:a00:1::1 3fff::1 4000::1 example.org",
    "8.8.8 2606:4700::1111%1",
  ].flatMap((line) => [...line.split(" "), ""]);
  for (const address of closed) assert.equal(isPublicAddress(address), false, address);
  const open = ["8.8.8.8", "1.1.1.1", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1"];
  const open6 = ["2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2400:cb00::1"];
  for (const address of [...open, ...open6]) assert.equal(isPublicAddress(address), true, address);
});

test("waiting doubles, is spread, and obeys the receiver within an hour", () => {
  assert.deepEqual(
    [1, 2, 3, 7].map((attempt) => retryDelayMs(attempt, 5000, 1, null)),
    [5000, 10_000, 20_000, 320_000],
  );
  assert.equal(retryDelayMs(1, 5000, 0, null), 2500);
  assert.equal(retryDelayMs(1, 5000, 0, 60_000), 60_000);
  assert.equal(retryDelayMs(1, 5000, 0, 10 * 3_600_000), 3_600_000);
  assert.equal(retryAfterMs("12", 0), 12_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:30 GMT", 10_000), 20_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:01 GMT", 10_000), 0);
  assert.equal(retryAfterMs("soon", 0), null);
});

function timers(firstDelayMs: number): { timers: WebhookTimers; results: WebhookResult[] } {
  const results: WebhookResult[] = [];
  const onAttempt = (result: WebhookResult) => void results.push(result);
  return { timers: new WebhookTimers({ secret, allowPrivate: true, onAttempt, firstDelayMs }), results };
}

test("a receiver that fails first and then succeeds gets the same message id and a fresh signature", async () => {
  await withReceiver([{ status: 500 }, { status: 503 }, { status: 200 }], async (receiver) => {
    const { timers: webhooks, results } = timers(20);
    webhooks.send({ messageId: options.messageId, url: receiver.url, body: '{"a":1}' });
    await until(() => results.length === 3);
    assert.deepEqual(results, ["retried", "retried", "delivered"]);
    for (const call of receiver.calls) {
      assert.equal(call.headers["webhook-id"], options.messageId);
      assert.deepEqual(new Webhook(secret).verify(call.body, call.headers as Record<string, string>), { a: 1 });
    }
    await webhooks.close();
  });
});

test("what never succeeds is given up after its last attempt, what is refused at once", async () => {
  await withReceiver([{ status: 500 }], async (receiver) => {
    const { timers: webhooks, results } = timers(1);
    webhooks.send({ messageId: options.messageId, url: receiver.url, body: "{}" });
    await until(() => results.includes("given_up"));
    assert.equal(receiver.calls.length, webhookAttempts);
    await webhooks.close();
  });
  await withReceiver([{ status: 404 }], async (receiver) => {
    const { timers: webhooks, results } = timers(1);
    webhooks.send({ messageId: options.messageId, url: receiver.url, body: "{}" });
    await until(() => results.length === 1);
    assert.deepEqual([results, receiver.calls.length], [["given_up"], 1]);
    await webhooks.close();
  });
});

test("close gives up what waits for another attempt", async () => {
  await withReceiver([{ status: 500 }], async (receiver) => {
    const { timers: webhooks, results } = timers(60_000);
    webhooks.send({ messageId: options.messageId, url: receiver.url, body: "{}" });
    await until(() => results.length === 1);
    await webhooks.close();
    assert.deepEqual(results, ["retried", "given_up"]);
  });
});
