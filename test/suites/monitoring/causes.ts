// What causes each alert, really: processes killed and stopped, a paused queue, a Redis that is slow, full, gone, without a disk. Each cause undoes itself.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { Place } from "../chaos/cluster.js";
import type { Offer } from "../chaos/offer.js";
import { freePort } from "../../support/servers/redis.js";
import { keepMixed, modelNames, post, textOf } from "./load.js";
import type { System } from "./system.js";

export interface Cause {
  readonly what: string;
  readonly alerts: readonly string[];
  /** `fired` resolves when these alerts, or all of the cause's, fire. */
  run(system: System, fired: (...alerts: readonly string[]) => Promise<void>): Promise<void>;
}

type Stoppable = Pick<Place, "signal"> | System["redis"];

/** Stands still and goes on, again and again, while `work` lasts. */
async function stuttering(process: Stoppable, stillMs: number, goMs: number, work: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const stutter = (async () => {
    while (!over.signal.aborted) {
      process.signal("SIGSTOP");
      await sleep(stillMs);
      process.signal("SIGCONT");
      await sleep(goMs);
    }
  })();
  try {
    await work();
  } finally {
    over.abort();
    await stutter;
  }
}

async function underLoad(urls: readonly string[], clients: number, work: () => Promise<void>): Promise<void> {
  const load = keepMixed({ urls, clients, restMs: 50 });
  try {
    await work();
  } finally {
    await load.stop();
  }
}

/** A thread that offers requests for this time, whatever comes back. */
function offered(offer: Offer): Promise<void> {
  const thread = new Worker(new URL("../chaos/offer.js", import.meta.url), { workerData: offer });
  return new Promise((resolve, reject) => {
    thread.once("message", () => resolve());
    thread.once("error", reject);
  });
}

/** It answers scrapes, and has had time for one. */
async function scraped({ url }: Place): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if ((await fetch(`${url}/metrics`).catch(() => null)) !== null) break;
    await sleep(50);
  }
  await sleep(1500);
}

async function queuesOf(
  system: System,
): Promise<{ each(work: (queue: Queue) => Promise<unknown>): Promise<void>; close(): Promise<void> }> {
  const connection = new Redis(system.redis.url, { maxRetriesPerRequest: null });
  const keys = await connection.keys("seqserve:jobs-*:meta");
  const queues = keys.map((key) => new Queue(key.split(":")[1] ?? "", { connection, prefix: "seqserve" }));
  return {
    each: async (work) => void (await Promise.all(queues.map(work))),
    close: async () => {
      await Promise.all(queues.map((queue) => queue.close()));
      connection.disconnect();
    },
  };
}

const slowRedis: Cause = {
  what: "Redis stands still 400 ms in every 600, under streams",
  alerts: ["SeqserveLogAppendSlow", "SeqserveStreamLag", "SeqserveInterTokenSlow"],
  run: (system, fired) => underLoad([system.api.url], 6, () => stuttering(system.redis, 400, 200, () => fired())),
};

const pausedWorker: Cause = {
  what: "a worker is stopped (SIGSTOP) until another took over, and goes on",
  alerts: ["SeqserveDown", "SeqserveRedeliveries", "SeqserveLocksLost"],
  run: (system, fired) =>
    underLoad([system.api.url], 8, async () => {
      const [first] = system.workers;
      await sleep(1000);
      first?.signal("SIGSTOP");
      await fired("SeqserveDown", "SeqserveRedeliveries").finally(() => first?.signal("SIGCONT"));
      await fired("SeqserveLocksLost");
    }),
};

const restarts: Cause = {
  what: "an API node is killed and started again, again and again",
  alerts: ["SeqserveRestarts"],
  run: async (system, fired) => {
    const settings = { ROLE: "api", REDIS_URL: system.redis.url, LOG_LEVEL: "info" };
    const place = new Place("api 2", await freePort(), settings);
    const forget = system.watchAlso(place);
    const over = new AbortController();
    const restarting = (async () => {
      for (let i = 0; i < 20 && !over.signal.aborted; i += 1) {
        await scraped(place);
        await place.end("SIGKILL");
        // It is killed before it is ready.
        void place.refill().catch(() => undefined);
      }
    })();
    try {
      await fired();
    } finally {
      over.abort();
      await restarting;
      await place.end("SIGKILL");
      forget();
    }
  },
};

const pausedQueue: Cause = {
  what: "somebody pauses the queue for 40 s: jobs wait, rows are free; then it goes on",
  alerts: [
    "SeqserveStuckWorker",
    "SeqserveWatchdog",
    "SeqserveDeadlines",
    "SeqserveHttp5xx",
    "SeqserveQueueWaitLong",
    "SeqserveFirstTokenFastBurn",
    "SeqserveFirstTokenSlowBurn",
  ],
  run: async (system, fired) => {
    const queues = await queuesOf(system);
    const [model = ""] = modelNames;
    const ask = (number: number, parameters: object = {}) =>
      post(`${system.api.url}/generate`, { model, inputs: textOf(model, number), parameters }).catch(() => 0);
    await queues.each((queue) => queue.pause());
    try {
      const waiting = Array.from({ length: 60 }, (_, i) => ask(i));
      const late = (async () => {
        for (let i = 0; i < 10; i += 1)
          await Promise.all([ask(i, { timeout_ms: 1000 }), ask(i, { timeout_ms: 1000 }), sleep(1000)]);
      })();
      await fired("SeqserveStuckWorker", "SeqserveDeadlines", "SeqserveHttp5xx", "SeqserveWatchdog");
      await late;
      await queues.each((queue) => queue.resume());
      await Promise.all(waiting);
      await fired();
    } finally {
      await queues.each((queue) => queue.resume());
      await queues.close();
    }
  },
};

const noWorker: Cause = {
  what: "both workers are killed",
  alerts: ["SeqserveNoWorker"],
  run: async ({ workers }, fired) => {
    await Promise.all(workers.map((worker) => worker.end("SIGKILL")));
    await fired().finally(() => Promise.all(workers.map((worker) => worker.refill())));
  },
};

const flushed: Cause = {
  what: "somebody flushes Redis, again and again, under long generations",
  alerts: ["SeqserveErrors"],
  run: async (system, fired) => {
    const over = new AbortController();
    const [, model = ""] = modelNames;
    const client = async () => {
      for (let i = 0; !over.signal.aborted; i += 1)
        await post(`${system.api.url}/generate`, {
          model,
          inputs: textOf(model, i),
          parameters: { min_new_tokens: 120, max_new_tokens: 128 },
        }).catch(() => 0);
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    const flushing = (async () => {
      for (; !over.signal.aborted; await sleep(400)) system.redisCommand("flushall");
    })();
    await fired().finally(() => over.abort());
    await Promise.all([clients, flushing]);
  },
};

const redisGone: Cause = {
  what: "Redis is killed, and started again",
  alerts: ["SeqserveRedisDown"],
  run: async ({ redis }, fired) => {
    await redis.kill();
    await fired().finally(() => redis.restart());
  },
};

/** 4 MB that go first. */
const junk = "for i=1,200 do redis.call('set','junk:'..i,string.rep('x',20000),'EX',60) end";

const fullRedis: Cause = {
  what: "Redis gets a maxmemory just above what it uses, then evicts at a lower one",
  alerts: ["SeqserveRedisMemory", "SeqserveRedisEvicts"],
  run: async (system, fired) => {
    const set = (name: string, value: string | number) => system.redisCommand("config", "set", name, String(value));
    const used = Number(/used_memory:(\d+)/u.exec(system.redisCommand("info", "memory"))?.[1]);
    try {
      set("maxmemory", Math.round(used * 1.05));
      await fired("SeqserveRedisMemory");
      set("maxmemory", 0);
      system.redisCommand("eval", junk, "0");
      set("maxmemory-policy", "volatile-ttl");
      set("maxmemory", used + 2_000_000);
      await fired("SeqserveRedisEvicts");
    } finally {
      set("maxmemory-policy", "noeviction");
      set("maxmemory", "256mb");
    }
  },
};

const diskless: Cause = {
  what: "Redis may not write files any longer (a limit on their size), and may again",
  alerts: ["SeqserveRedisAofFailed"],
  run: async (system, fired) => {
    const limit = (bytes: string) =>
      execFileSync("prlimit", ["--pid", String(system.redis.pid), `--fsize=${bytes}:unlimited`]);
    limit("1");
    try {
      for (let i = 0; i < 3; i += 1) {
        await post(`${system.api.url}/generate`, { inputs: textOf("g2p-en", i), model: "g2p-en" }).catch(() => 0);
        await sleep(500);
      }
      await fired();
    } finally {
      limit("unlimited");
    }
  },
};

const overload: Cause = {
  what: "ten times what the embedded server takes: 160 clients, a queue of 16",
  alerts: ["SeqserveRejects"],
  run: async (system, fired) => {
    const [, model = ""] = modelNames;
    const bodies = Array.from({ length: 50 }, (_, i) => ({
      model,
      inputs: textOf(model, i),
      parameters: { num_beams: 8 },
    }));
    await Promise.all([
      offered({ url: system.server.url, bodies, clients: 160, perSecond: null, seconds: 15 }),
      fired(),
    ]);
  },
};

const flooded: Cause = {
  what: "the embedded server is flooded with bodies that are wrong, so that only its main thread works",
  alerts: ["SeqserveEventLoopBusy"],
  run: async (system, fired) => {
    const bodies = [{ inputs: "x ".repeat(3000), model: "g2p-en" }];
    await Promise.all([offered({ url: system.server.url, bodies, clients: 6, perSecond: null, seconds: 30 }), fired()]);
  },
};

const stutteringServer: Cause = {
  what: "the embedded server stands still 300 ms in every 800",
  alerts: ["SeqserveEventLoopLag"],
  run: (system, fired) => stuttering(system.server, 300, 500, () => fired()),
};

const brokenModel: Cause = {
  what: "a server starts with a folder whose decoder is cut short",
  alerts: ["SeqserveModelFailed"],
  run: async (system, fired) => {
    const folder = mkdtempSync(join(tmpdir(), "seqserve-models-"));
    cpSync("models/g2p-en", join(folder, "g2p-en"), { recursive: true });
    mkdirSync(join(folder, "broken"));
    writeFileSync(join(folder, "broken", "config.json"), "{");
    const place = new Place("server 2", await freePort(), { MODELS_DIR: folder, LOG_LEVEL: "info" });
    const forget = system.watchAlso(place);
    try {
      await fired();
    } finally {
      await place.end("SIGKILL");
      forget();
      rmSync(folder, { recursive: true });
    }
  },
};

const nothingLeft: Cause = {
  what: "all processes are killed, and started again",
  alerts: ["SeqserveAbsent"],
  run: async ({ places }, fired) => {
    await Promise.all(places.map((place) => place.end("SIGKILL")));
    await fired().finally(() => Promise.all(places.map((place) => place.refill())));
  },
};

/** In an order that spoils nothing: each list runs beside the other. */
export const cluster: readonly Cause[] = [
  slowRedis,
  pausedWorker,
  pausedQueue,
  restarts,
  noWorker,
  flushed,
  redisGone,
  fullRedis,
  diskless,
];
export const embedded: readonly Cause[] = [overload, flooded, stutteringServer, brokenModel];
export const last: readonly Cause[] = [nothingLeft];
