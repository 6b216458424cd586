// Every test model in one process: each gives its framework's own answers alone, in bursts and in random schedules, while models of other kinds are busy.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createInference, type Inference } from "../../src/inference/inference.js";
import { inferenceOptions } from "../support/models/inference-options.js";
import { manifestFixtures } from "../support/models/manifests.js";
import { oracleDifference, oracleRequests, type OracleRequest } from "../support/models/oracle-requests.js";
import { below, pick, seededRandom, thinned } from "../support/random.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-many-"));
const modelsDir = join(home, "models");
const folders = [manifestFixtures, "test/zoo"].flatMap((root) =>
  readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [join(root, entry.name)] : [])),
);
const requests = new Map(folders.map((folder) => [nameOf(folder), oracleRequests(folder)]));
const names = [...requests.keys()];

const limits = { maxInputTokens: null, maxNewTokens: 128, maxBeams: 8 };

let inference: Inference;
before(async () => {
  for (const folder of folders) cpSync(folder, join(modelsDir, nameOf(folder)), { recursive: true });
  inference = await createInference(
    inferenceOptions({ modelsDir, cacheDir: join(home, "cache"), maxBatchRows: 16, limits }),
  );
  await inference.ready;
});
after(async () => {
  await inference.close();
  rmSync(home, { recursive: true, force: true });
});

function nameOf(folder: string): string {
  return folder.split("/").at(-1) ?? "";
}

/** One request with its answer held against the oracle's; `onToken` hears of each of its tokens. */
async function check(model: string, request: OracleRequest, onToken = (): void => undefined): Promise<void> {
  const prepared = await inference.prepare({ model, ...request });
  for await (const event of inference.generate(prepared, new AbortController().signal)) {
    onToken();
    if (event.type !== "end") continue;
    const difference = oracleDifference(event, request);
    assert.equal(difference, null, `${model}: ${difference}`);
  }
}

/** Cancelled at its n-th token: its rows leave in the middle of everybody else's. */
async function cancel(model: string, request: OracleRequest, tokens: number): Promise<void> {
  const abort = new AbortController();
  const prepared = await inference.prepare({ model, ...request });
  let left = tokens;
  const events = async () => {
    for await (const _ of inference.generate(prepared, abort.signal)) if ((left -= 1) <= 0) abort.abort();
  };
  await events().catch((error: Error) => assert.equal(error.name, "AbortError"));
}

/** Waits for all, then throws the first failure. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(work)) if (one.status === "rejected") throw one.reason;
}

/** A model of each other layout keeps answering, and is held against its oracle too, until `work` is done. */
async function inCompany(subject: string, seed: number, work: () => Promise<void>): Promise<void> {
  const layouts = new Map(inference.models().map(({ name, layout }) => [name, layout]));
  const random = seededRandom(seed);
  const others = [...new Set(layouts.values())].filter((layout) => layout !== layouts.get(subject));
  const company = others.map((layout) =>
    pick(
      random,
      names.filter((name) => layouts.get(name) === layout),
    ),
  );
  assert.ok(company.length >= 2, `only ${company} beside ${subject}`);
  const answered = new Map(company.map((name) => [name, 0]));
  const lanesAre = { open: true };
  const lane = async (model: string) => {
    while (lanesAre.open) {
      await check(model, pick(random, requests.get(model) ?? []));
      answered.set(model, (answered.get(model) ?? 0) + 1);
    }
  };
  const busy = company.flatMap((model) => [lane(model), lane(model), lane(model)]);
  await all([work().finally(() => (lanesAre.open = false)), ...busy]);
  for (const [name, count] of answered) assert.ok(count >= 3, `${name} answered ${count} times beside ${subject}`);
}

/** Jobs in random order; each waits for a random number of tokens of those before it. */
async function randomSchedule(subject: string, jobs: readonly OracleRequest[], random: () => number): Promise<void> {
  let heard = (): void => undefined;
  const running = { jobs: 0 };
  const started: Promise<void>[] = [];
  for (const request of [...jobs].sort(() => random() - 0.5)) {
    const isCancelled = random() < 0.15;
    running.jobs += 1;
    const job = isCancelled ? cancel(subject, request, 1 + below(random, 6)) : check(subject, request, () => heard());
    started.push(job.finally(() => ((running.jobs -= 1), heard())));
    for (let waits = below(random, 4); waits > 0 && running.jobs > 0; waits -= 1) {
      await new Promise<void>((resolve) => (heard = resolve));
    }
  }
  await all(started);
}

for (const [index, subject] of names.entries()) {
  const jobs = thinned(requests.get(subject) ?? []);

  test(`${subject}: its framework's answers, one by one, while other models are busy`, async () => {
    assert.equal(inference.models().find(({ name }) => name === subject)?.state, "ready");
    await inCompany(subject, index, async () => {
      for (const request of jobs.filter((_, i) => i % 4 === index % 4)) await check(subject, request);
    });
  });

  test(`${subject}: the same in ragged batches, while other models are busy`, async () => {
    await inCompany(subject, index + 100, async () => {
      for (let at = 0; at < jobs.length; at += 16) {
        await all(jobs.slice(at, at + 16).map((request) => check(subject, request)));
      }
    });
  });

  test(`${subject}: the same in random schedules with cancels, while other models are busy`, async () => {
    for (const seed of [1, 2]) {
      await inCompany(subject, index + 200 * seed, () => randomSchedule(subject, jobs, seededRandom(seed)));
    }
  });
}
