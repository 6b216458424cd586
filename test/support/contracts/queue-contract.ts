// The contract of GenerationQueue, as a suite that every queue inherits: call it with a way to build one over a given Generate.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../../src/errors.js";
import type { EndEvent, Generate, GenerationEvent, Prepared, TokenEvent } from "../../../src/generation.js";
import type { GenerationQueue } from "../../../src/queue/queue.js";
import { decoding } from "../models/decoding.js";
import { until } from "../until.js";

export interface QueueUnderTest {
  readonly queue: GenerationQueue;
  dispose(): Promise<void>;
}

export interface QueueLimits {
  readonly maxQueuedRequests: number;
  readonly maxQueuedTokens: number;
}

export function testQueueContract(
  name: string,
  build: (generate: Generate, limits: QueueLimits) => Promise<QueueUnderTest>,
): void {
  const wide: QueueLimits = { maxQueuedRequests: 100, maxQueuedTokens: 10_000 };
  const check = (title: string, limits: QueueLimits, body: (queue: GenerationQueue, script: Script) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const script = new Script();
      const { queue, dispose } = await build(script.generate, limits);
      await body(queue, script).finally(dispose);
    });

  check("accepts first, then passes tokens on in order and ends once", wide, async (queue) => {
    const events = await collect(queue.submit(prepared({ tokens: 5 }), new AbortController().signal));
    assert.deepEqual(
      events.map((event) => event.type),
      ["accepted", "token", "token", "token", "token", "token", "end"],
    );
    assert.deepEqual(
      events.flatMap((event) => (event.type === "token" ? [event.seq] : [])),
      [1, 2, 3, 4, 5],
    );
  });

  check("an error of the generation reaches its reader as the same AppError", wide, async (queue) => {
    const failing = collect(queue.submit(prepared({ tokens: 2, failure: "generation" }), new AbortController().signal));
    await assert.rejects(failing, (error) => error instanceof AppError && error.kind === "generation");
    assert.equal((await queue.depth()).running, 0);
  });

  check("an abort ends the iterator and the generation behind it", wide, async (queue, script) => {
    const abort = new AbortController();
    const reason = new AppError("cancelled", "the client left");
    const reading = collect(queue.submit(prepared({ tokens: 10_000 }), abort.signal));
    await script.untilStarted(1);
    abort.abort(reason);
    await assert.rejects(reading, (error) => error === reason || (error as AppError).kind === "cancelled");
    await script.untilRunning(0);
    assert.deepEqual(await queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  });

  check("a signal that is aborted already never starts a generation", wide, async (queue, script) => {
    await assert.rejects(
      collect(queue.submit(prepared({ tokens: 1 }), AbortSignal.abort(new AppError("cancelled", "gone")))),
    );
    assert.equal(script.started, 0);
  });

  check("leaving the loop early frees the place", wide, async (queue, script) => {
    for await (const event of queue.submit(prepared({ tokens: 10_000 }), new AbortController().signal)) {
      if (event.type === "token") break;
    }
    await script.untilRunning(0);
    assert.equal((await queue.depth()).running, 0);
  });

  check(
    "a queue full of requests refuses with overloaded and a time to come back",
    { ...wide, maxQueuedRequests: 2 },
    async (queue, script) => {
      script.hold();
      const waiting = [1, 2].map(() => collect(queue.submit(prepared({ tokens: 1 }), new AbortController().signal)));
      await until(async () => (await queue.depth()).queuedRequests === 2);
      await assert.rejects(collect(queue.submit(prepared({ tokens: 1 }), new AbortController().signal)), isOverloaded);
      script.release();
      await Promise.all(waiting);
      await collect(queue.submit(prepared({ tokens: 1 }), new AbortController().signal));
    },
  );

  check(
    "a queue full of tokens refuses, an empty one takes any size",
    { ...wide, maxQueuedTokens: 10 },
    async (queue, script) => {
      script.hold();
      const large = collect(queue.submit(prepared({ tokens: 1, sourceLength: 50 }), new AbortController().signal));
      await until(async () => (await queue.depth()).queuedTokens === 50);
      await assert.rejects(collect(queue.submit(prepared({ tokens: 1 }), new AbortController().signal)), isOverloaded);
      script.release();
      await large;
    },
  );

  check("many generations at once each get their own tokens", wide, async (queue) => {
    const sizes = Array.from({ length: 40 }, (_, i) => 1 + (i % 7));
    const all = await Promise.all(
      sizes.map((tokens) => collect(queue.submit(prepared({ tokens }), new AbortController().signal))),
    );
    assert.deepEqual(
      all.map((events) => events.length - 2),
      sizes,
    );
  });

  check("after close new generations are refused and running ones still end", wide, async (queue, script) => {
    script.hold();
    const running = collect(queue.submit(prepared({ tokens: 3 }), new AbortController().signal));
    await script.untilStarted(1);
    const closed = queue.close();
    const late = collect(queue.submit(prepared({ tokens: 1 }), new AbortController().signal));
    await assert.rejects(late, (error) => error instanceof AppError && error.kind === "unavailable");
    script.release();
    assert.equal((await running).at(-1)?.type, "end");
    await closed;
  });
}

interface Plan {
  readonly tokens: number;
  readonly failure?: "generation";
  readonly sourceLength?: number;
}

let nextId = 0;
/** A Prepared whose max length tells the script how many tokens to make; 1,000,000 more means: then fail. */
function prepared({ tokens, failure, sourceLength = 3 }: Plan): Prepared {
  return {
    id: String(nextId++).padStart(32, "0"),
    model: "scripted",
    sourceIds: Array.from({ length: sourceLength }, () => 1),
    decoding: decoding({ maxLength: 1 + tokens + (failure === undefined ? 0 : 1_000_000) }),
    stop: [],
    wantLogprobs: false,
    topN: 0,
    wantAttention: false,
    deadlineAt: null,
    priority: 5,
  };
}

class Script {
  started = 0;
  #running = 0;
  #gate = Promise.resolve();
  release: () => void = () => undefined;

  hold(): void {
    this.#gate = new Promise((resolve) => (this.release = resolve));
  }

  readonly generate: Generate = (request, signal) => this.#generate(request, signal);

  untilStarted(count: number): Promise<void> {
    return until(() => Promise.resolve(this.started >= count));
  }

  untilRunning(count: number): Promise<void> {
    return until(() => Promise.resolve(this.#running === count));
  }

  async *#generate(request: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    this.started += 1;
    this.#running += 1;
    try {
      await this.#gate;
      const wanted = request.decoding.maxLength - 1;
      const tokens = wanted % 1_000_000;
      for (let seq = 1; seq <= tokens; seq += 1) {
        signal.throwIfAborted();
        yield { type: "token", seq, index: 0, id: seq, text: "x", special: false } satisfies TokenEvent;
        await sleep(0);
      }
      if (wanted > 1_000_000) throw new AppError("generation", "scripted failure");
      const usage = { sourceTokens: 3, generatedTokens: tokens };
      yield {
        type: "end",
        outputs: [],
        usage,
        timings: { queueMs: 0, encodeMs: 0, decodeMs: 0, totalMs: 0 },
      } satisfies EndEvent;
    } finally {
      this.#running -= 1;
    }
  }
}

function isOverloaded(error: unknown): boolean {
  return error instanceof AppError && error.kind === "overloaded" && (error.retryAfterSeconds ?? 0) >= 1;
}

async function collect(events: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const all: GenerationEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
