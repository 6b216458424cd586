// How full the runs were between any step and now: a few additions a step, however many sequences and tokens were in it. Pure.
//
//   add(rows) … mark() ─┐
//   add(rows) … add(rows) … since(mark) ──▶ steps, mean and most rows of those in between

/** Counts at one moment. */
export interface HistoryMark {
  readonly steps: number;
  readonly rows: number;
}

export interface BatchRows {
  readonly steps: number;
  /** 0 when there were no steps. */
  readonly meanRows: number;
  readonly maxRows: number;
}

export class BatchHistory {
  #steps = 0;
  #rows = 0;
  /** Steps that no later one reached, oldest first, with ever fewer rows: never more than rows fit a batch. */
  readonly #peaks: { readonly step: number; readonly rows: number }[] = [];

  add(rows: number): void {
    this.#steps += 1;
    this.#rows += rows;
    while ((this.#peaks.at(-1)?.rows ?? Infinity) <= rows) this.#peaks.pop();
    this.#peaks.push({ step: this.#steps, rows });
  }

  mark(): HistoryMark {
    return { steps: this.#steps, rows: this.#rows };
  }

  since(mark: HistoryMark): BatchRows {
    const steps = this.#steps - mark.steps;
    const peak = this.#peaks.find(({ step }) => step > mark.steps);
    return { steps, meanRows: steps === 0 ? 0 : (this.#rows - mark.rows) / steps, maxRows: peak?.rows ?? 0 };
  }
}
