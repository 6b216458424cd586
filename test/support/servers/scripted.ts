// An inference without models: each word of the input becomes one upper-case token, and words such as "!fail" steer it.
//   !fail throws "generation" · !wait waits for the abort · !gate waits until the test calls open() · !big emits 64 KiB of text · !ms=20 waits before each token
//   !crash throws a plain Error
import { createHash, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { buildApp, type BuiltApp } from "../../../src/app.js";
import { defaultConfig, type Config } from "../../../src/config/config.js";
import { localGenerations, type LocalGenerations } from "../../../src/wiring/generations.js";
import { AppError, refuse } from "../../../src/errors.js";
import type { GenerationEvent, GenerationRequest, OutputToken, Prepared, TokenEvent } from "../../../src/generation.js";
import type { ChosenDevice } from "../../../src/inference/device/choose-device.js";
import type { Inference } from "../../../src/inference/inference.js";
import type { ModelInfo } from "../../../src/inference/catalog/model-info.js";
import { createLog, type Logger } from "../../../src/telemetry/log.js";
import { createMetrics, type Metrics } from "../../../src/telemetry/metrics.js";
import { ModelAdmission } from "../../../src/queue/admission.js";
import { measuredQueue } from "../../../src/queue/measurement.js";
import { MemoryQueue } from "../../../src/queue/memory/memory-queue.js";
import { webhookWriter } from "../../../src/routes/generations/answer.js";
import type { SseTimings } from "../../../src/routes/http/sse.js";
import type { Tracing } from "../../../src/telemetry/tracing/spans.js";
import { metricSum } from "../clients/metrics-text.js";
import { until } from "../until.js";
import { decoding } from "../models/decoding.js";

export const words = ["<pad>", "</s>", "<unk>"];
const eos = 1;

export function modelInfo(overrides: Partial<ModelInfo> = {}): ModelInfo {
  return {
    name: "echo",
    state: "ready",
    isDefault: true,
    layout: "recurrent",
    task: "echo",
    tasks: ["echo"],
    description: "Says it louder",
    licence: "Apache-2.0",
    version: "1",
    device: "cpu",
    dtype: "fp32",
    files: { encoder: "encoder.onnx", decoder: "decoder.onnx" },
    notes: ["a note"],
    facts: null,
    limits: { maxInputTokens: 100, maxNewTokens: 512, maxBeams: 16 },
    languages: { source: [], target: [] },
    vocabSize: 1000,
    chat: null,
    attention: true,
    engines: 1,
    threads: 1,
    loadMs: 12,
    memory: { weightBytes: 1000, loadedBytes: null },
    ...overrides,
  };
}

export class ScriptedInference implements Inference {
  readonly requests: GenerationRequest[] = [];
  /** Signals of generations, in the order they began. */
  readonly signals: AbortSignal[] = [];
  readonly ready: Promise<void>;
  infos: ModelInfo[];
  isClosed = false;
  readonly #gate = new EventEmitter();

  constructor(infos: ModelInfo[] = [modelInfo()], ready: Promise<void> = Promise.resolve()) {
    this.infos = infos;
    this.ready = ready;
  }

  /** Lets those go on that stand at a "!gate"; waits for the first to come. */
  async open(): Promise<void> {
    while (this.#gate.listenerCount("open") === 0) await sleep(5);
    this.#gate.emit("open");
  }

  models(): ModelInfo[] {
    return this.infos;
  }

  async prepare(request: GenerationRequest): Promise<Prepared> {
    const info = this.#model(request.model);
    this.requests.push(request);
    const source = request.inputs.split(" ");
    if (source.length > info.limits.maxInputTokens) {
      refuse("inputs", `${source.length} tokens, at most ${info.limits.maxInputTokens} fit`);
    }
    const { parameters } = request;
    return {
      id: randomBytes(16).toString("hex"),
      model: info.name,
      sourceIds: source.map((_, i) => i + 3),
      decoding: decoding({
        doSample: parameters.do_sample === true,
        seed: parameters.seed ?? 7,
        numReturnSequences: parameters.num_return_sequences ?? 1,
      }),
      stop: [],
      wantLogprobs: parameters.details === true || parameters.logprobs === true,
      topN: parameters.top_n_tokens ?? 0,
      wantAttention: parameters.attention === true,
      deadlineAt: null,
      priority: request.priority ?? 5,
      ...(request.readsWhole === true ? { readsWhole: true } : {}),
      ...(request.trace === undefined ? {} : { trace: request.trace }),
      // The script travels beside the contract.
      script: source,
    } as Prepared & { readonly script: readonly string[] };
  }

  readonly generate = (prepared: Prepared, signal: AbortSignal): AsyncIterable<GenerationEvent> =>
    this.#generate(prepared, signal);

  async *continue(prepared: Prepared, logged: readonly TokenEvent[], signal: AbortSignal) {
    for await (const event of this.#generate(prepared, signal)) {
      if (event.type !== "token" || event.seq > logged.length) yield event;
    }
  }

  async digest(model: string): Promise<string> {
    return createHash("sha256").update(this.#model(model).name).digest("hex");
  }

  variant(model: string): string {
    return `scripted/${this.#model(model).dtype}`;
  }

  facts(): null {
    return null;
  }

  learn(): void {}

  async tokenize(model: string | undefined, text: string) {
    this.#model(model);
    let start = 0;
    return text.split(" ").map((word, i) => {
      const token = { id: i + 3, text: word, start, stop: start + word.length, special: false };
      start += word.length + 1;
      return token;
    });
  }

  async scoring(prepared: Prepared, output: string | readonly number[]) {
    const ids = typeof output === "string" ? [] : output;
    const source = prepared.sourceIds.map((id) => ({ id, text: `w${id}`, special: false }));
    return { source, whole: { ...prepared, scored: ids }, without: source.map(() => null) };
  }

  detokenize(model: string | undefined, ids: readonly number[], skipSpecialTokens: boolean): string {
    this.#model(model);
    return ids.flatMap((id) => (id < 3 ? (skipSpecialTokens ? [] : [words[id]!]) : [`w${id}`])).join(" ");
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #model(name: string | undefined): ModelInfo {
    const info = this.infos.find((model) => (name === undefined ? model.isDefault : model.name === name));
    if (info === undefined) throw new AppError("not_found", `no model "${name}"`, { field: "model" });
    if (info.state === "ready") return info;
    const details = { field: "model", isSentence: true, retryAfterSeconds: 1 };
    throw new AppError("unavailable", `model "${info.name}" is loading`, details);
  }

  async *#generate(prepared: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    const { script } = prepared as Prepared & { script: string[] };
    this.signals.push(signal);
    const outputs = prepared.decoding.numReturnSequences;
    const tokens: OutputToken[] = [];
    let seq = 0;
    let delay = 0;
    for (const [i, word] of [...script, "</s>"].entries()) {
      signal.throwIfAborted();
      if (word.startsWith("!ms=")) {
        delay = Number(word.slice(4));
        continue;
      }
      if (word === "!gate") {
        await once(this.#gate, "open", { signal }).catch(() => signal.throwIfAborted());
        continue;
      }
      if (word === "!fail") throw new AppError("generation", "the model failed on this request");
      if (word === "!crash") throw new Error("secret detail");
      if (word === "!wait") await sleep(60_000, undefined, { signal }).catch(() => signal.throwIfAborted());
      if (delay > 0) await sleep(delay, undefined, { signal }).catch(() => signal.throwIfAborted());
      const special = word === "</s>";
      const text = special
        ? ""
        : `${i === 0 || tokens.length === 0 ? "" : " "}${word === "!big" ? "x".repeat(65_536) : word.toUpperCase()}`;
      const token: OutputToken = {
        id: special ? eos : i + 3,
        text,
        special,
        ...(prepared.wantLogprobs ? { logprob: -0.5 } : {}),
        ...(prepared.wantLogprobs && prepared.decoding.doSample ? { sampledLogprob: -0.25 } : {}),
        ...(prepared.topN > 0 ? { top: [{ id: 9, text: "nine", logprob: -0.1, special: false }] } : {}),
        ...(prepared.wantAttention ? { attention: prepared.sourceIds.map(() => 1 / prepared.sourceIds.length) } : {}),
      };
      tokens.push(token);
      for (let index = 0; index < outputs; index++) {
        seq += 1;
        yield { type: "token", seq, index, ...token };
      }
    }
    const text = tokens.map((token) => token.text).join("");
    yield {
      type: "end",
      outputs: Array.from({ length: outputs }, (_, i) => ({
        text,
        ids: tokens.map(({ id }) => id),
        score: outputs > 1 ? (i === 1 ? -0.1 : -0.5 - i) : null,
        finishReason: "eos_token" as const,
        tokens,
      })),
      usage: { sourceTokens: prepared.sourceIds.length, generatedTokens: tokens.length * outputs },
      timings: { queueMs: 0.1, encodeMs: 0.2, decodeMs: 0.3, totalMs: 0.6 },
    };
  }
}

export interface TestServer extends BuiltApp, LocalGenerations {
  readonly config: Config;
  readonly inference: ScriptedInference;
  readonly metrics: Metrics;
  readonly queue: MemoryQueue;
  /** Log lines, parsed. */
  readonly lines: Record<string, unknown>[];
  /** Starts to listen; the base URL. */
  listen(): Promise<string>;
  /** Requests whose clients left before their end. */
  cancelled(): Promise<number>;
  /** Resolves when nothing waits or runs. */
  untilIdle(): Promise<void>;
  close(): Promise<void>;
}

export interface TestOptions {
  readonly config?: Partial<Config>;
  readonly inference?: ScriptedInference;
  readonly device?: ChosenDevice;
  readonly sse?: SseTimings;
  readonly tracing?: Tracing;
}

/** The real app over the scripted inference and the real queue. */
export async function testServer({
  config: overrides = {},
  inference = new ScriptedInference(),
  device,
  sse,
  tracing,
}: TestOptions = {}): Promise<TestServer> {
  const config = defaultConfig({ port: 0, logLevel: "trace", logFormat: "json", drainTimeoutMs: 200, ...overrides });
  const lines: Record<string, unknown>[] = [];
  const log: Logger = createLog(config, {
    write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const metrics = createMetrics("test", { runtime: false });
  const memory = new MemoryQueue(
    inference.generate,
    new ModelAdmission(
      config,
      () => performance.now(),
      (reason) => metrics.rejected(reason),
    ),
  );
  const queue = measuredQueue(memory, metrics, tracing);
  const writeWebhook = webhookWriter(inference);
  const foundations = { log, metrics, inference, queue, writeWebhook, ...(tracing === undefined ? {} : { tracing }) };
  const durable = localGenerations(config, foundations);
  const given = { ...(sse !== undefined && { sse }), ...(device !== undefined && { device }) };
  const built = await buildApp(config, { ...foundations, ...durable, ...given });
  return {
    ...built,
    ...durable,
    config,
    inference,
    metrics,
    queue: memory,
    lines,
    cancelled: async () => metricSum(await metrics.text(), "seqserve_requests_total", { outcome: "cancelled" }),
    untilIdle: () =>
      until(async () => {
        const { queuedRequests, running } = await memory.depth();
        return queuedRequests === 0 && running === 0;
      }, "an idle queue"),
    listen: () => built.app.listen({ host: "127.0.0.1", port: 0 }),
    close: async () => {
      const ended = durable.generations.close();
      await built.app.close();
      await ended;
      await durable.webhooks?.close();
      metrics.close();
    },
  };
}

export interface WireEvent {
  readonly id: number | null;
  readonly event: string | null;
  readonly data: Record<string, unknown>;
}

/** Parses a whole event stream strictly: comments aside, each event is id?, event?, one data line. */
export function wireEvents(text: string): WireEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "" && !block.startsWith(":"))
    .map((block) => {
      const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/su, 2) as [string, string]));
      const id = fields.get("id");
      return {
        id: id === undefined ? null : Number(id),
        event: fields.get("event") ?? null,
        data: JSON.parse(fields.get("data")!) as Record<string, unknown>,
      };
    });
}
