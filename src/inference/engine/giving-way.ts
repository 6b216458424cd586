// How long an engine with much to do may let lightly loaded ones go first: as long as it has worked itself, so it keeps half of its time at least.
// Their few rows are done long before; the cores that it leaves alone are theirs, and the main thread's, at once.
import { setPriority } from "node:os";
import type { StepReport } from "../protocol/engine-protocol.js";
import { lightLoad } from "../protocol/engine-loads.js";

/** Credit does not add up beyond this: after a long time alone, too, the next pause is short. About what a short request takes. */
const mostMs = 20;

export class Courtesy {
  #creditMs = 0;

  get hasCredit(): boolean {
    return this.#creditMs > 0;
  }

  worked(ms: number): void {
    this.#creditMs = Math.min(mostMs, this.#creditMs + ms);
  }

  waited(ms: number): void {
    this.#creditMs -= ms;
  }
}

// The engine thread's place in line where cores are short, by how much it has to do: Linux has a nice value per thread.
//
//   few rows ─▶ level with the HTTP thread       many rows, or many waiting ─▶ behind it, and behind lightly loaded engines

/** Nice values: 10 has a ninth of the weight of 0. */
const level = 0;
const barelyBehind = 1;
const behind = 10;

export class ThreadPriority {
  readonly #set: (nice: number) => void;
  #nice: number | null = null;
  #canChange = true;

  /** @param set changes this thread's nice value; throws where it may not */
  constructor(set: (nice: number) => void = setOwnPriority) {
    this.#set = set;
    // Down and up again, to see whether it may go up. Where it may not it stays here: a thread that went far behind would have to stay there, busy or not.
    this.#change(barelyBehind);
    this.#change(level);
    this.#change(behind);
  }

  /** To be told of each step. */
  after({ rows, waiting }: Pick<StepReport, "rows" | "waiting">): void {
    this.#change(rows + waiting > lightLoad ? behind : level);
  }

  #change(nice: number): void {
    if (nice === this.#nice || !this.#canChange) return;
    try {
      this.#set(nice);
      this.#nice = nice;
    } catch {
      // Going up takes CAP_SYS_NICE. Without it all engines stay where they are: level with the HTTP thread, or where a nicer process was started.
      this.#canChange = false;
    }
  }
}

function setOwnPriority(nice: number): void {
  if (process.platform === "linux") setPriority(nice);
}
