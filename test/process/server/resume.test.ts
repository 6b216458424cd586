// Resume on the real server with the real models: every number to come back with, connections that drop at random, and a shutdown in the middle.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { workloads } from "../../../bench/tools/workload.js";
import {
  DurableClient,
  idsOf,
  parseEvents,
  readSome,
  textOf,
  type StreamedEvent,
} from "../../support/clients/durable-client.js";
import { metricSum, scrape } from "../../support/clients/metrics-text.js";
import { below, pick, scaled, seededRandom } from "../../support/random.js";
import { webhookReceiver } from "../../support/stand-ins/webhook-receiver.js";
import { until } from "../../support/until.js";

let server: RunningServer;
let client: DurableClient;
before(async () => {
  server = await startServer({ MAX_QUEUED_REQUESTS: "400" });
  client = new DurableClient(server.url);
});
after(() => server.stop());

/** Kinds of decoding whose tokens come one by one, and in bursts. */
const kinds = [
  {},
  { do_sample: true, temperature: 1.3, seed: 5 },
  { num_beams: 4, num_return_sequences: 2 },
  { do_sample: true, num_return_sequences: 3, seed: 9, max_new_tokens: 12 },
  { details: true, top_n_tokens: 2, min_new_tokens: 25, max_new_tokens: 30 },
];

interface Request {
  readonly model: string;
  readonly inputs: string;
  readonly parameters: object;
}

function request(random: () => number): Request {
  const { model, inputs } = pick(random, workloads());
  return { model, inputs: pick(random, inputs), parameters: pick(random, kinds) };
}

/** What does not depend on which generation of the same request it was. */
function lasting(events: readonly StreamedEvent[]): unknown[] {
  return events.map(({ id, event, data }) => ({ id, event, data: { ...data, id: null, timings: null } }));
}

for (const { model, inputs } of workloads()) {
  test(`${model}: every number to come back with gives the rest of /generate's stream`, async () => {
    for (const parameters of kinds) {
      const body = { model, inputs: inputs[3]!, parameters };
      const direct = parseEvents(await (await client.post({ ...body, stream: true }, {}, "/generate")).text());
      const id = await client.start(body);
      const whole = await client.events(id);
      assert.deepEqual(lasting(whole), lasting(direct));
      for (let from = 0; from < whole.length; from += 1) {
        assert.deepEqual(await client.events(id, from), whole.slice(from));
      }
      assert.equal((await client.openEvents(id, whole.length)).status, 204);
    }
  });
}

/** Reads to the end over as many connections as it takes, each dropped after a random number of events. */
async function readWithDrops(id: string, random: () => number): Promise<StreamedEvent[]> {
  const seen: StreamedEvent[] = [];
  while (seen.at(-1)?.event !== "end") {
    const response = await client.openEvents(id, seen.at(-1)?.id ?? null);
    assert.equal(response.status, 200);
    seen.push(...(await readSome(response, 1 + below(random, 6))));
  }
  return seen;
}

const readers = scaled(100);

test(`${readers} readers that drop at random rebuild the same text, each event once`, async () => {
  const random = seededRandom(31);
  const reading = Array.from({ length: readers }, async () => {
    const body = request(random);
    const id = await client.start(body);
    const events = await readWithDrops(id, random);
    assert.deepEqual(
      idsOf(events),
      events.map((_, i) => i + 1),
    );
    const direct = (await (await client.post(body, {}, "/generate")).json()) as { generated_text: string };
    assert.equal(events.at(-1)!.data["generated_text"], direct.generated_text);
    if (!JSON.stringify(body.parameters).includes("num_return")) assert.equal(textOf(events), direct.generated_text);
    assert.equal((await client.state(id)).result!["generated_text"], direct.generated_text);
  });
  await Promise.all(reading);
});

test("streams of /generate that continue survive their connection", async () => {
  const random = seededRandom(32);
  const reading = Array.from({ length: scaled(40) }, async () => {
    const body = request(random);
    const parameters = { ...body.parameters, on_disconnect: "continue" };
    const response = await client.post({ ...body, parameters, stream: true }, {}, "/generate");
    const id = response.headers.get("x-generation-id")!;
    const seen = await readSome(response, 1 + below(random, 5));
    const last = seen.at(-1)!;
    const rest = last.event === "end" ? [] : await client.events(id, last.id);
    assert.deepEqual(lasting([...seen, ...rest]), lasting(await client.events(id)));
  });
  await Promise.all(reading);
});

test("cancelled mid-stream: followers get one terminal event, and the rows are free for others", async () => {
  const { model, inputs } = workloads()[1]!;
  const body = { model, inputs: inputs[0]!, parameters: { min_new_tokens: 100, max_new_tokens: 120 } };
  const ids = await Promise.all(Array.from({ length: 40 }, () => client.start(body)));
  const following = ids.map((id) => client.events(id));
  await Promise.all(ids.map((id) => client.cancel(id)));
  for (const events of await Promise.all(following)) {
    const terminals = events.filter(({ event }) => event !== null);
    assert.equal(terminals.length, 1);
    assert.equal(events.at(-1), terminals[0]);
  }
  await until(async () => metricSum(await scrape(server.url), "seqserve_requests_running") === 0, "nothing runs");
  assert.equal(metricSum(await scrape(server.url), "seqserve_http_streams_open"), 0);
});

test("SIGTERM: followers are sent away at once, what runs ends well and tells its webhook, the process ends with code 0", async () => {
  const receiver = await webhookReceiver();
  const own = await startServer({ WEBHOOK_SECRET: "a secret", WEBHOOK_PRIVATE: "allow" });
  try {
    const short = new DurableClient(own.url);
    const { model, inputs } = workloads()[1]!;
    const parameters = { min_new_tokens: 100, max_new_tokens: 120 };
    const id = await short.start({ model, inputs: inputs[0]!, parameters, webhook_url: receiver.url });
    const response = await short.openEvents(id);
    await own.stop();
    const last = parseEvents(await response.text()).at(-1)!;
    assert.ok(last.event === "reconnect" || last.event === "end", JSON.stringify(last));
    assert.equal(own.process.exitCode, 0);
    assert.equal(receiver.calls.length, 1);
    assert.equal((JSON.parse(receiver.calls[0]!.body) as { status: string }).status, "succeeded");
  } finally {
    await own.stop();
    await receiver.close();
  }
});
