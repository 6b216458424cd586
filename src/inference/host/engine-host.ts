// The main thread's side of a model's engines (EnginePool) and of each of them (EngineHost): starts its worker, hands sequences over, and turns
// its messages into one iterator per sequence.
//
//   submit ──postMessage──▶ engine/worker.ts        stepped{tokens, ended} ──▶ each sequence's channel ──▶ for await
import { Worker } from "node:worker_threads";
import { AppError, shuttingDown } from "../../errors.js";
import type {
  EngineEnd,
  EngineInfo,
  EngineOptions,
  EngineToken,
  FromEngine,
  SequenceSpec,
  StepReport,
  ToEngine,
  Probe,
} from "../protocol/engine-protocol.js";
import type { EngineLoads, LoadSlot } from "../protocol/engine-loads.js";
import type { ModelPlan } from "../protocol/plan.js";
import { EventChannel } from "./event-channel.js";
import { Pacer } from "./pacer.js";

export type EngineEvent =
  | { readonly type: "token"; readonly output: number; readonly token: EngineToken }
  | { readonly type: "end"; readonly end: Extract<EngineEnd, { ok: true }> };

/** What a tick of the event loop hands on, while requests of other models wait. Each token is an event to be written. */
const tokensPerTick = 6;
/** An end costs as much: an answer is finished, a request cleared away. */
const tokensPerEnd = 3;

type Stepped = Extract<FromEngine, { type: "stepped" }>;
/** What goes through the pacer to one sequence. */
type Delivery = { readonly token: Stepped["tokens"][number] } | { readonly end: EngineEnd };

export type SubmitSpec = Omit<SequenceSpec, "id">;

/** A sequence under way. Leaving `events` early, by abort or break, frees its rows within one step. */
export interface EngineRun {
  readonly events: AsyncIterable<EngineEvent>;
  /** Asks for the end now: what there is comes as the end event, with finish reason "stop_sequence". The caller has found a stop string. */
  finish(): void;
}

export interface EngineHostOptions extends EngineOptions {
  /** Loading that takes longer has failed. */
  readonly loadTimeoutMs: number;
  /** How busy each engine of the process is; null: this one takes no part in yielding. */
  readonly loads: EngineLoads | null;
  readonly onStep: (report: StepReport) => void;
  /** The thread died: no sequence of this engine will run again. */
  readonly onCrash: (error: Error) => void;
}

export class EngineHost {
  readonly #worker: Worker;
  readonly #options: EngineHostOptions;
  readonly #channels = new Map<number, EventChannel<EngineEvent>>();
  readonly #loadSlot: LoadSlot | null;
  readonly #pacer = new Pacer<Delivery>({
    handOn: (id, delivery) => this.#deliver(id, delivery),
    sizeOf: (delivery) => ("end" in delivery ? tokensPerEnd : 1),
    sizePerTick: tokensPerTick,
  });
  #nextId = 1;
  #crash: AppError | null = null;
  #onLoaded: { resolve: (info: EngineInfo) => void; reject: (error: Error) => void } | null = null;
  #onClosed: (() => void) | null = null;

  constructor(options: EngineHostOptions) {
    this.#options = options;
    this.#loadSlot = options.loads?.claimSlot(options.threads) ?? null;
    this.#worker = new Worker(new URL("../engine/worker.js", import.meta.url), { workerData: this.#loadSlot?.shared });
    this.#worker.on("message", (message: FromEngine) => this.#receive(message));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => this.#onExit());
  }

  /** Sequences handed over and not ended. */
  get inFlight(): number {
    return this.#channels.size;
  }

  /** Rejects with one line for the user when the folder cannot be served. Called once. */
  async load(plan: ModelPlan, probe: Probe): Promise<EngineInfo> {
    const { maxBatchRows, maxEncodeTokens, threads, device, loadTimeoutMs } = this.#options;
    const options = { maxBatchRows, maxEncodeTokens, threads, device };
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<EngineInfo>((resolve, reject) => {
        this.#onLoaded = { resolve, reject };
        timer = setTimeout(() => this.#abandon(loadTimeoutMs), loadTimeoutMs);
        this.#post({ type: "load", plan, probe, options });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  submit(spec: SubmitSpec, signal: AbortSignal): EngineRun {
    const id = this.#nextId++;
    return { events: this.#eventsOf(id, spec, signal), finish: () => this.#post({ type: "finish", id }) };
  }

  async *#eventsOf(id: number, spec: SubmitSpec, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
    signal.throwIfAborted();
    if (this.#crash !== null) throw this.#crash;
    const channel = new EventChannel<EngineEvent>();
    const abort = () => channel.fail(signal.reason as Error);
    this.#channels.set(id, channel);
    this.#publishLoad();
    signal.addEventListener("abort", abort, { once: true });
    this.#post({ type: "submit", sequence: { ...spec, id } });
    try {
      yield* channel;
    } finally {
      signal.removeEventListener("abort", abort);
      if (this.#channels.delete(id)) {
        this.#publishLoad();
        this.#post({ type: "cancel", id });
      }
    }
  }

  /** Lets the running step finish, frees the sessions, ends the thread. Sequences still in flight fail. */
  close(): Promise<void> {
    this.#failAll(shuttingDown());
    if (this.#crash !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onClosed = resolve;
      this.#post({ type: "close" });
    });
  }

  #post(message: ToEngine): void {
    this.#worker.postMessage(message, []);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case "ready":
        this.#onLoaded?.resolve(message.info);
        break;
      case "failed":
        this.#onLoaded?.reject(new Error(message.message));
        break;
      case "stepped":
        this.#receiveStep(message);
        break;
      case "tried":
      case "closed":
        break;
      default:
        message satisfies never;
    }
  }

  #receiveStep({ tokens, ended, report }: Stepped): void {
    for (const token of tokens) this.#pacer.push(token.id, { token });
    for (const end of ended) this.#pacer.push(end.id, { end });
    this.#options.onStep(report);
  }

  #deliver(id: number, delivery: Delivery): void {
    if ("end" in delivery) return this.#deliverEnd(delivery.end);
    const { output, token } = delivery.token;
    this.#channels.get(id)?.push({ type: "token", output, token });
  }

  #publishLoad(): void {
    this.#loadSlot?.set(this.#channels.size);
  }

  #deliverEnd(end: EngineEnd): void {
    const channel = this.#channels.get(end.id);
    this.#channels.delete(end.id);
    this.#publishLoad();
    if (channel === undefined) return;
    if (!end.ok) return channel.fail(new AppError(end.error.kind, end.error.message));
    channel.push({ type: "end", end });
    channel.end();
  }

  #onExit(): void {
    this.#loadSlot?.release();
    if (this.#onClosed !== null) this.#onClosed();
    else this.#fail(new Error("the engine's thread ended by itself"));
  }

  #fail(error: Error): void {
    if (this.#crash !== null) return;
    this.#pacer.flush();
    this.#crash = new AppError("generation", `the engine stopped: ${error.message}`, { cause: error });
    this.#onLoaded?.reject(error);
    this.#failAll(this.#crash);
    this.#options.onCrash(error);
  }

  // A thread inside ONNX Runtime can neither be stopped nor waited for: it ends when it comes out, and the process does not wait for it.
  #abandon(afterMs: number): void {
    this.#worker.unref();
    this.#post({ type: "close" });
    this.#fail(new Error(`loading took longer than ${afterMs} ms (LOAD_TIMEOUT_MS)`));
  }

  #failAll(error: AppError): void {
    for (const channel of this.#channels.values()) channel.fail(error);
    this.#channels.clear();
    this.#publishLoad();
  }
}

/** ONNX Runtime's words when it can't open and run a session on the device. Tried in a thread of its own, which ends. */
export async function tryDevice(device: string): Promise<string | null> {
  const worker = new Worker(new URL("../engine/worker.js", import.meta.url));
  const post = (message: ToEngine) => worker.postMessage(message, []);
  return new Promise((resolve, reject) => {
    worker.on("message", (message: FromEngine) => {
      if (message.type !== "tried") return;
      resolve(message.fault);
      post({ type: "close" });
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve("the thread that tried it ended by itself"));
    post({ type: "try", device });
  });
}

/** The engines of one model: loads them side by side and gives each sequence to the least busy one. */
export class EnginePool {
  readonly #hosts: readonly EngineHost[];

  constructor(count: number, options: EngineHostOptions) {
    // Several engines of one model would yield to each other: nine sequences are five and four.
    const loads = count === 1 ? options.loads : null;
    this.#hosts = Array.from({ length: count }, () => new EngineHost({ ...options, loads }));
  }

  get size(): number {
    return this.#hosts.length;
  }

  /** Rejects with one line for the user; the threads are gone then. */
  async load(plan: ModelPlan, probe: Probe): Promise<EngineInfo> {
    const loads = await Promise.allSettled(this.#hosts.map((host) => host.load(plan, probe)));
    const failed = loads.find((load) => load.status === "rejected");
    if (failed !== undefined) {
      await this.close();
      throw failed.reason as Error;
    }
    const [first] = loads;
    if (first?.status !== "fulfilled") throw new Error("an engine pool needs at least one engine");
    return first.value;
  }

  submit(spec: SubmitSpec, signal: AbortSignal): EngineRun {
    const host = this.#hosts.reduce((least, other) => (other.inFlight < least.inFlight ? other : least));
    return host.submit(spec, signal);
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
  }
}
