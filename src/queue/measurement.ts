// Generations are measured here, and traced where traces are on: one start and exactly one end each, whatever happens in between.
import { AppError } from "../errors.js";
import type { EndEvent, Generate, GenerationEvent, Prepared } from "../generation.js";
import type { GenerationReport, Metrics, Outcome } from "../telemetry/metrics.js";
import type { OpenSpan, Tracing } from "../telemetry/tracing/spans.js";
import { generationEnd, generationStart } from "../telemetry/tracing/generation-spans.js";
import type { GenerationQueue } from "./queue.js";

export type GenerationMetrics = Pick<Metrics, "generationStarted" | "firstToken" | "interToken" | "generationEnded">;

/** The same queue with its generations measured. */
export function measuredQueue(
  queue: GenerationQueue,
  metrics: GenerationMetrics,
  tracing: Tracing | null = null,
): GenerationQueue {
  return {
    submit: (prepared, signal) => measure(queue.submit, () => new Measurement(prepared, metrics, tracing), signal),
    depth: () => queue.depth(),
    close: () => queue.close(),
  };
}

async function* measure(
  submit: Generate,
  begin: () => Measurement,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, void> {
  const measurement = begin();
  let outcome: Outcome = "cancelled";
  try {
    for await (const event of submit(measurement.prepared, signal)) {
      measurement.see(event);
      if (event.type === "end") outcome = outcomeOfEnd(event);
      yield event;
    }
  } catch (error) {
    outcome = outcomeOfError(error);
    throw error;
  } finally {
    measurement.end(outcome);
  }
}

/** One generation's times, in milliseconds of the monotonic clock: one start, and exactly one end. */
export class Measurement {
  /** With its own span as what follows belongs to. */
  readonly prepared: Prepared;
  readonly #span: OpenSpan | null;
  readonly #metrics: GenerationMetrics;
  readonly #startedAt = performance.now();
  readonly #gaps: number[] = [];
  #firstTokenAt: number | null = null;
  #lastTokenAt = 0;
  #tokens = 0;
  #end: EndEvent | null = null;

  constructor(prepared: Prepared, metrics: GenerationMetrics, tracing: Tracing | null) {
    this.#span = tracing?.start(generationStart(prepared), prepared.trace) ?? null;
    this.prepared = this.#span === null ? prepared : { ...prepared, trace: this.#span.headers };
    this.#metrics = metrics;
    metrics.generationStarted(prepared.model);
  }

  see(event: GenerationEvent): void {
    if (event.type === "end") this.#end = event;
    if (event.type === "token") this.#seeToken(performance.now());
  }

  end(outcome: Outcome): void {
    const { model, readsWhole } = this.prepared;
    this.#span?.end(generationEnd(this.prepared, outcome, this.#end));
    this.#metrics.interToken(model, readsWhole === true ? withMeanGaps(this.#gaps) : this.#gaps);
    this.#metrics.generationEnded(model, this.#report(outcome, (performance.now() - this.#startedAt) / 1000));
  }

  #seeToken(now: number): void {
    this.#tokens += 1;
    if (this.#firstTokenAt === null) {
      this.#firstTokenAt = now;
      this.#span?.event("first token", Date.now());
      this.#metrics.firstToken(this.prepared.model, (now - this.#startedAt) / 1000);
    } else {
      this.#gaps.push((now - this.#lastTokenAt) / 1000);
    }
    this.#lastTokenAt = now;
  }

  #report(outcome: Outcome, totalSeconds: number): GenerationReport {
    const firstTokenSeconds = this.#firstTokenAt === null ? null : (this.#firstTokenAt - this.#startedAt) / 1000;
    return {
      outcome,
      finishReason: this.#end?.outputs[0]?.finishReason ?? null,
      queueSeconds: this.#queueSeconds(firstTokenSeconds ?? totalSeconds, totalSeconds),
      firstTokenSeconds,
      totalSeconds,
      sourceTokens: this.prepared.sourceIds.length,
      generatedTokens: this.#end?.usage.generatedTokens ?? this.#tokens,
    };
  }

  // The engine knows nothing of the time before it got the request: while others were prepared, or in Redis until a worker was free. All of that was before the first token.
  #queueSeconds(untilFirst: number, total: number): number {
    if (this.#end === null) return untilFirst;
    const { queueMs, totalMs } = this.#end.timings;
    return Math.min(untilFirst, Math.max(0, total - totalMs / 1000) + queueMs / 1000);
  }
}

/** Tokens of a client that waits for all of them travel in groups: only the mean of their gaps says something. */
function withMeanGaps(gaps: readonly number[]): number[] {
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  return gaps.map(() => mean);
}

export function outcomeOfEnd(event: EndEvent): Outcome {
  return event.outputs[0]?.finishReason === "deadline" ? "timeout" : "ok";
}

export function outcomeOfError(error: unknown): Outcome {
  if (!(error instanceof AppError)) return "error";
  const outcomes: Partial<Record<AppError["kind"], Outcome>> = {
    overloaded: "rejected",
    unavailable: "rejected",
    cancelled: "cancelled",
    deadline: "timeout",
  };
  return outcomes[error.kind] ?? "error";
}
