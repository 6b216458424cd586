// The engine: step() = schedule → run → choose → report. Everything that one turn did goes out in one message.
//
//   submit ─▶ scheduler ─▶ encode new sources ─▶ one decoder step for all rows ─▶ searches choose ─▶ stepped{tokens, ended}
import type {
  EngineEnd,
  EngineOptions,
  FinishReason,
  FromEngine,
  SequenceSpec,
  StepTotals,
} from "../protocol/engine-protocol.js";
import { BatchHistory } from "./batch-history.js";
import type { Advance, RowScores } from "./decoding/search.js";
import type { Seq2SeqModel, StepScores } from "./models/model.js";
import { Scheduler } from "./scheduler.js";
import { Sequence } from "./sequence.js";

/** Milliseconds: `elapsed` is monotonic, `now` since the epoch. */
export interface Clock {
  elapsed(): number;
  now(): number;
}

export class Engine {
  readonly #model: Seq2SeqModel;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #sequences = new Map<number, Sequence>();
  readonly #history = new BatchHistory();

  constructor(model: Seq2SeqModel, options: EngineOptions, clock: Clock) {
    this.#model = model;
    this.#options = options;
    this.#clock = clock;
    this.#scheduler = new Scheduler(options);
  }

  get isIdle(): boolean {
    return this.#scheduler.isIdle;
  }

  submit(spec: SequenceSpec): void {
    const sequence = new Sequence(spec, this.#model.vocabSize, this.#clock.elapsed());
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
    const turn = new StepRecord();
    this.#sweep(turn);
    await this.#encode(this.#scheduler.admit(), turn);
    await this.#decode(turn);
    const tookMs = this.#clock.elapsed() - started;
    const report = turn.totals(tookMs, this.#options.maxBatchRows, this.#scheduler.waiting.length);
    return { type: "stepped", tokens: turn.tokens, ended: turn.ended, report };
  }

  /** Cancelled and late sequences leave before anything is run for them. */
  #sweep(turn: StepRecord): void {
    const now = this.#clock.now();
    for (const sequence of [...this.#scheduler.running, ...this.#scheduler.waiting]) {
      const { deadlineAt } = sequence.spec;
      if (sequence.request === "cancel") this.#drop(sequence);
      else if (sequence.request === "finish") this.#end(sequence, "stop_sequence", turn);
      else if (deadlineAt !== null && now >= deadlineAt) this.#endLate(sequence, turn);
    }
  }

  #endLate(sequence: Sequence, turn: StepRecord): void {
    if (sequence.hasCommitted) return this.#end(sequence, "deadline", turn);
    this.#fail(sequence, { kind: "deadline", message: "the deadline passed before the first token" }, turn);
  }

  async #encode(admitted: readonly Sequence[], turn: StepRecord): Promise<void> {
    if (admitted.length === 0) return;
    const started = this.#clock.elapsed();
    for (const sequence of admitted) sequence.encodeStartedAt = started;
    try {
      await this.#open(admitted);
    } catch (error) {
      await this.#encodeOneByOne(admitted, error as Error, turn);
    }
    const ended = this.#clock.elapsed();
    for (const sequence of admitted) {
      sequence.decodeStartedAt = ended;
      sequence.encodedSources = admitted.length;
      sequence.decodeStart = this.#history.mark();
    }
    turn.encodeMs = ended - started;
    turn.countSources(admitted.map((sequence) => sequence.spec.sourceIds.length));
  }

  async #open(sequences: readonly Sequence[]): Promise<void> {
    const memories = await this.#model.encode(sequences.map((sequence) => sequence.spec.sourceIds));
    sequences.forEach((sequence, index) => {
      const memory = memories[index];
      if (memory !== undefined) sequence.open(this.#model.open(memory));
    });
  }

  // One source that the graph refuses must not take its batch down with it.
  async #encodeOneByOne(sequences: readonly Sequence[], error: Error, turn: StepRecord): Promise<void> {
    if (sequences.length === 1) {
      for (const sequence of sequences) this.#fail(sequence, { kind: "generation", message: error.message }, turn);
      return;
    }
    for (const sequence of sequences) {
      await this.#open([sequence]).catch((own: Error) => {
        this.#fail(sequence, { kind: "generation", message: own.message }, turn);
      });
    }
  }

  async #decode(turn: StepRecord): Promise<void> {
    const sequences = this.#scheduler.next();
    const rows = sequences.flatMap((sequence) => sequence.rows);
    if (rows.length === 0) return;
    const started = this.#clock.elapsed();
    turn.rows = rows.length;
    this.#history.add(rows.length);
    try {
      const wanted = sequences.flatMap((sequence) => sequence.rows.map(() => sequence.wanted));
      const scores = await this.#model.step(rows, wanted);
      turn.decodeMs = this.#clock.elapsed() - started;
      this.#choose(sequences, scores, turn);
    } catch (error) {
      for (const sequence of sequences)
        this.#fail(sequence, { kind: "generation", message: (error as Error).message }, turn);
    }
  }

  #choose(sequences: readonly Sequence[], scores: StepScores, turn: StepRecord): void {
    let first = 0;
    for (const sequence of sequences) {
      const own = sequence.rows.map((_, index) => scores.row(first + index));
      first += own.length;
      const advance = this.#advanced(sequence, own, turn);
      if (advance !== null) this.#apply(sequence, advance, turn);
    }
  }

  // Scores that can't be chosen from must not take the others of the run down with them.
  #advanced(sequence: Sequence, scores: readonly RowScores[], turn: StepRecord): Advance | null {
    try {
      return sequence.advance(scores);
    } catch (error) {
      this.#fail(sequence, { kind: "generation", message: (error as Error).message }, turn);
      return null;
    }
  }

  #apply(sequence: Sequence, advance: Advance, turn: StepRecord): void {
    for (const { output, token } of advance.committed) turn.tokens.push({ id: sequence.spec.id, output, token });
    if (advance.outputs !== null) return this.#finish(sequence, advance.outputs, turn);
    const { parents } = advance;
    sequence.feed(parents === null ? sequence.rows : this.#model.reorder(sequence.rows, parents));
  }

  #end(sequence: Sequence, reason: FinishReason, turn: StepRecord): void {
    this.#finish(sequence, sequence.search.stop(reason), turn);
  }

  #finish(sequence: Sequence, outputs: NonNullable<Advance["outputs"]>, turn: StepRecord): void {
    const now = this.#clock.elapsed();
    const timings = {
      queueMs: sequence.encodeStartedAt - sequence.submittedAt,
      encodeMs: sequence.decodeStartedAt - sequence.encodeStartedAt,
      decodeMs: now - sequence.decodeStartedAt,
    };
    const { encodedSources, decodeStart } = sequence;
    const run = { endedAt: this.#clock.now(), encodedSources, ...this.#history.since(decodeStart) };
    turn.ended.push({ id: sequence.spec.id, ok: true, outputs, timings, run });
    this.#drop(sequence);
  }

  #fail(sequence: Sequence, error: Extract<EngineEnd, { ok: false }>["error"], turn: StepRecord): void {
    turn.ended.push({ id: sequence.spec.id, ok: false, error });
    this.#drop(sequence);
  }

  #drop(sequence: Sequence): void {
    this.#model.release(sequence.rows);
    this.#scheduler.remove(sequence);
    this.#sequences.delete(sequence.spec.id);
  }
}

// What one turn of the engine has gathered so far: the message that goes out at its end.

/** The message but for what only the thread knows. */
export type EngineStep = Omit<Extract<FromEngine, { type: "stepped" }>, "report"> & { readonly report: StepTotals };

export class StepRecord {
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
