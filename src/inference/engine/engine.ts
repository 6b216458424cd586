// The engine: step() = schedule → run → choose → report. Everything that one step did goes out in one message.
//
//   submit ─▶ scheduler ─▶ encode new sources ─▶ one decoder step for all rows ─▶ searches choose ─▶ stepped{tokens, ended}
import type {
  EngineEnd,
  EngineError,
  EngineOptions,
  EngineOutput,
  FinishReason,
  FromEngine,
  SequenceSpec,
  StepTotals,
} from "../protocol/engine-protocol.js";
import { BatchHistory } from "./batch-history.js";
import { Candidates } from "./decoding/rules/candidates.js";
import type { Advance, RowScores } from "./decoding/search.js";
import type { Seq2SeqModel, StepScores } from "./models/model.js";
import { Scheduler } from "./scheduler.js";
import { Sequence } from "./sequence.js";

/** Milliseconds: `elapsed` is monotonic, `now` since the epoch. */
export interface Clock {
  elapsed(): number;
  now(): number;
}

/** What one step did: the message to the main thread, but for what only the engine's thread knows. */
export type EngineStep = Omit<Extract<FromEngine, { type: "stepped" }>, "report"> & { readonly report: StepTotals };

export class Engine {
  readonly #model: Seq2SeqModel;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #candidates: Candidates;
  readonly #sequences = new Map<number, Sequence>();
  readonly #history = new BatchHistory();

  constructor(model: Seq2SeqModel, options: EngineOptions, clock: Clock) {
    this.#model = model;
    this.#options = options;
    this.#clock = clock;
    this.#scheduler = new Scheduler(options);
    this.#candidates = new Candidates(model.vocabSize);
  }

  get isIdle(): boolean {
    return this.#scheduler.isIdle;
  }

  submit(spec: SequenceSpec): void {
    const sequence = new Sequence(spec, this.#candidates, this.#clock.elapsed());
    this.#sequences.set(spec.id, sequence);
    this.#scheduler.add(sequence);
  }

  /** Its rows are free before the next run. An unknown id has ended already. */
  cancel(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) sequence.request = "cancel";
  }

  /** It ends before the next run with the tokens it has. */
  finish(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) sequence.request = "finish";
  }

  async step(): Promise<EngineStep> {
    const started = this.#clock.elapsed();
    const record = new StepRecord();
    this.#sweep(record);
    await this.#encode(this.#scheduler.admit(), record);
    await this.#decode(record);
    const tookMs = this.#clock.elapsed() - started;
    const report = record.totals(tookMs, this.#options.maxBatchRows, this.#scheduler.waiting.length);
    return { type: "stepped", tokens: record.tokens, ended: record.ended, report };
  }

  /** Cancelled and late sequences leave before anything is run for them. */
  #sweep(record: StepRecord): void {
    const now = this.#clock.now();
    for (const sequence of [...this.#scheduler.running, ...this.#scheduler.waiting]) {
      const { deadlineAt } = sequence.spec;
      if (sequence.request === "cancel") this.#drop(sequence);
      else if (sequence.request === "finish") this.#end(sequence, "stop_sequence", record);
      else if (deadlineAt !== null && now >= deadlineAt) this.#endLate(sequence, record);
    }
  }

  #endLate(sequence: Sequence, record: StepRecord): void {
    if (sequence.hasCommitted) return this.#end(sequence, "deadline", record);
    this.#fail(sequence, { kind: "deadline", message: "the deadline passed before the first token" }, record);
  }

  async #encode(admitted: readonly Sequence[], record: StepRecord): Promise<void> {
    if (admitted.length === 0) return;
    const started = this.#clock.elapsed();
    for (const sequence of admitted) sequence.encodeStartedAt = started;
    try {
      await this.#open(admitted);
    } catch (error) {
      await this.#encodeOneByOne(admitted, error as Error, record);
    }
    const ended = this.#clock.elapsed();
    for (const sequence of admitted) {
      sequence.decodeStartedAt = ended;
      sequence.encodedSources = admitted.length;
      sequence.decodeStart = this.#history.mark();
    }
    record.encodeMs = ended - started;
    record.countSources(admitted.map((sequence) => sequence.spec.sourceIds.length));
  }

  async #open(sequences: readonly Sequence[]): Promise<void> {
    const memories = await this.#model.encode(sequences.map((sequence) => sequence.spec.sourceIds));
    sequences.forEach((sequence, index) => {
      const memory = memories[index];
      if (memory !== undefined) sequence.open(this.#model.open(memory));
    });
  }

  // One source that the graph refuses must not take its batch down with it.
  async #encodeOneByOne(sequences: readonly Sequence[], error: Error, record: StepRecord): Promise<void> {
    if (sequences.length === 1) {
      for (const sequence of sequences) this.#fail(sequence, { kind: "generation", message: error.message }, record);
      return;
    }
    for (const sequence of sequences) {
      await this.#open([sequence]).catch((own: Error) => {
        this.#fail(sequence, { kind: "generation", message: own.message }, record);
      });
    }
  }

  async #decode(record: StepRecord): Promise<void> {
    const sequences = this.#scheduler.next();
    const rows = sequences.flatMap((sequence) => sequence.rows);
    if (rows.length === 0) return;
    const started = this.#clock.elapsed();
    record.rows = rows.length;
    this.#history.add(rows.length);
    try {
      const wanted = sequences.flatMap((sequence) => sequence.rows.map(() => sequence.wanted));
      const scores = await this.#model.step(rows, wanted);
      record.decodeMs = this.#clock.elapsed() - started;
      this.#choose(sequences, scores, record);
    } catch (error) {
      for (const sequence of sequences)
        this.#fail(sequence, { kind: "generation", message: (error as Error).message }, record);
    }
  }

  #choose(sequences: readonly Sequence[], scores: StepScores, record: StepRecord): void {
    let first = 0;
    for (const sequence of sequences) {
      const own = sequence.rows.map((_, index) => scores.row(first + index));
      first += own.length;
      const advance = this.#tryAdvance(sequence, own, record);
      if (advance !== null) this.#apply(sequence, advance, record);
    }
  }

  // Scores that can't be chosen from must not take the others of the run down with them.
  #tryAdvance(sequence: Sequence, scores: readonly RowScores[], record: StepRecord): Advance | null {
    try {
      return sequence.advance(scores);
    } catch (error) {
      this.#fail(sequence, { kind: "generation", message: (error as Error).message }, record);
      return null;
    }
  }

  #apply(sequence: Sequence, advance: Advance, record: StepRecord): void {
    for (const { output, token } of advance.committed) record.tokens.push({ id: sequence.spec.id, output, token });
    if (advance.outputs !== null) return this.#finish(sequence, advance.outputs, record);
    const { parents } = advance;
    sequence.feed(parents === null ? sequence.rows : this.#model.reorder(sequence.rows, parents));
  }

  #end(sequence: Sequence, reason: FinishReason, record: StepRecord): void {
    this.#finish(sequence, sequence.search.stop(reason), record);
  }

  #finish(sequence: Sequence, outputs: readonly EngineOutput[], record: StepRecord): void {
    const now = this.#clock.elapsed();
    const timings = {
      queueMs: sequence.encodeStartedAt - sequence.submittedAt,
      encodeMs: sequence.decodeStartedAt - sequence.encodeStartedAt,
      decodeMs: now - sequence.decodeStartedAt,
    };
    const { encodedSources, decodeStart } = sequence;
    const run = { endedAt: this.#clock.now(), encodedSources, ...this.#history.since(decodeStart) };
    record.ended.push({ id: sequence.spec.id, ok: true, outputs, timings, run });
    this.#drop(sequence);
  }

  #fail(sequence: Sequence, error: EngineError, record: StepRecord): void {
    record.ended.push({ id: sequence.spec.id, ok: false, error });
    this.#drop(sequence);
  }

  #drop(sequence: Sequence): void {
    this.#model.release(sequence.rows);
    this.#scheduler.remove(sequence);
    this.#sequences.delete(sequence.spec.id);
  }
}

/** Collects what one step does. */
class StepRecord {
  readonly tokens: EngineStep["tokens"][number][] = [];
  readonly ended: EngineEnd[] = [];
  encodeMs = 0;
  decodeMs = 0;
  rows = 0;
  #encodedSources = 0;
  #sourceTokens = 0;
  #paddedTokens = 0;

  /** One encoder run of sources with these lengths. */
  countSources(lengths: readonly number[]): void {
    this.#encodedSources = lengths.length;
    this.#sourceTokens = lengths.reduce((sum, length) => sum + length, 0);
    this.#paddedTokens = Math.max(...lengths) * lengths.length - this.#sourceTokens;
  }

  /** @param waiting sequences that are not admitted yet */
  totals(tookMs: number, rowCapacity: number, waiting: number): StepTotals {
    const { encodeMs, decodeMs, rows, tokens } = this;
    return {
      rows,
      rowCapacity,
      encodedSources: this.#encodedSources,
      sourceTokens: this.#sourceTokens,
      paddedTokens: this.#paddedTokens,
      encodeMs,
      decodeMs,
      hostMs: tookMs - encodeMs - decodeMs,
      tokens: tokens.length,
      waiting,
    };
  }
}
