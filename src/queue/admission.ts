// Who may wait: bounds the queue by requests and by source tokens, and measures how fast it drains for Retry-After. Pure: the clock is passed in.
//
//   enter ──▶ queued ──start──▶ running ──leave──▶ gone          full? AppError "overloaded" before anything is yielded
import { AppError } from "../errors.js";

export interface AdmissionLimits {
  readonly maxQueuedRequests: number;
  readonly maxQueuedTokens: number;
}

export interface Depth {
  readonly queuedRequests: number;
  readonly queuedTokens: number;
  readonly running: number;
}

/** One admitted generation. start and leave may be called more than once. */
export interface Ticket {
  /** It leaves the queue: its first event is there. */
  start(): void;
  leave(): void;
}

/** Smoothing time of the drain rate. */
const rateWindowMs = 10_000;
const longestRetrySeconds = 60;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #onRejected: (reason: "requests" | "tokens") => void;
  #queuedRequests = 0;
  #queuedTokens = 0;
  #running = 0;
  /** Starts per millisecond, exponentially smoothed. */
  #drainRate = 0;
  #lastStartAt: number;

  /** @param now monotonic milliseconds */
  constructor(limits: AdmissionLimits, now: () => number, onRejected: (reason: "requests" | "tokens") => void) {
    this.#limits = limits;
    this.#now = now;
    this.#onRejected = onRejected;
    this.#lastStartAt = now();
  }

  get depth(): Depth {
    return { queuedRequests: this.#queuedRequests, queuedTokens: this.#queuedTokens, running: this.#running };
  }

  /** Throws AppError "overloaded" when a request of `tokens` source tokens would be refused; without them, one of any size. */
  refuseIfFull(tokens = 0): void {
    const reason = this.#fullBy(tokens);
    if (reason === null) return;
    this.#onRejected(reason);
    throw new AppError("overloaded", "the queue is full", { retryAfterSeconds: this.retryAfterSeconds });
  }

  /** Throws AppError "overloaded" when the queue is full. An empty queue takes a request of any size. */
  enter(tokens: number): Ticket {
    this.refuseIfFull(tokens);
    this.#queuedRequests += 1;
    this.#queuedTokens += tokens;
    return this.#ticket(tokens);
  }

  /** How long the present queue takes to drain at the measured rate: whole seconds, 1 to 60. */
  get retryAfterSeconds(): number {
    const idleMs = this.#now() - this.#lastStartAt;
    const rate = this.#drainRate * Math.exp(-idleMs / rateWindowMs);
    const seconds = rate > 0 ? Math.ceil(this.#queuedRequests / rate / 1000) : longestRetrySeconds;
    return Math.min(Math.max(seconds, 1), longestRetrySeconds);
  }

  #fullBy(tokens: number): "requests" | "tokens" | null {
    if (this.#queuedRequests >= this.#limits.maxQueuedRequests) return "requests";
    const isFull = this.#queuedRequests > 0 && this.#queuedTokens + tokens > this.#limits.maxQueuedTokens;
    return isFull ? "tokens" : null;
  }

  #ticket(tokens: number): Ticket {
    let state: "queued" | "running" | "gone" = "queued";
    return {
      start: () => {
        if (state !== "queued") return;
        state = "running";
        this.#unqueue(tokens);
        this.#running += 1;
        this.#countStart();
      },
      leave: () => {
        if (state === "queued") this.#unqueue(tokens);
        if (state === "running") this.#running -= 1;
        state = "gone";
      },
    };
  }

  #unqueue(tokens: number): void {
    this.#queuedRequests -= 1;
    this.#queuedTokens -= tokens;
  }

  // A shot-noise estimate: each start adds 1/window, and all of it fades with the window.
  #countStart(): void {
    const now = this.#now();
    this.#drainRate = this.#drainRate * Math.exp((this.#lastStartAt - now) / rateWindowMs) + 1 / rateWindowMs;
    this.#lastStartAt = now;
  }
}

/** An Admission for each model, with the same limits: a burst on one fills its own queue, not another's. */
export class ModelAdmission {
  readonly #make: () => Admission;
  readonly #models = new Map<string, Admission>();

  constructor(...options: ConstructorParameters<typeof Admission>) {
    this.#make = () => new Admission(...options);
  }

  /** Over all models. */
  get depth(): Depth {
    const depths = [...this.#models.values()].map((admission) => admission.depth);
    return {
      queuedRequests: depths.reduce((sum, { queuedRequests }) => sum + queuedRequests, 0),
      queuedTokens: depths.reduce((sum, { queuedTokens }) => sum + queuedTokens, 0),
      running: depths.reduce((sum, { running }) => sum + running, 0),
    };
  }

  /** Throws AppError "overloaded" when that model's queue would refuse a request of any size. */
  refuseIfFull(model: string): void {
    this.#models.get(model)?.refuseIfFull();
  }

  /** Throws AppError "overloaded" when that model's queue is full. The model must be a served one: its entry stays. */
  enter(model: string, tokens: number): Ticket {
    const admission = this.#models.get(model) ?? this.#make();
    this.#models.set(model, admission);
    return admission.enter(tokens);
  }
}
