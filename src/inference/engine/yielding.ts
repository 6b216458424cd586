// When a busy engine makes room for lightly loaded ones: how long it pauses between its steps, and which nice value its thread has.
// The few rows of a lightly loaded engine are done long before; the cores that the busy one leaves alone are theirs, and the main thread's, at once.
import { setPriority } from "node:os";
import { lightLoad } from "../protocol/engine-loads.js";
import type { StepReport } from "../protocol/engine-protocol.js";

/** Credit does not add up beyond this: after a long time alone, too, the next pause is short. About what a short request takes. */
const maxCreditMs = 20;

/** Milliseconds that an engine may pause: as many as it has worked, so that it keeps at least half of its time. */
export class YieldBudget {
  #creditMs = 0;

  get hasCredit(): boolean {
    return this.#creditMs > 0;
  }

  addWork(ms: number): void {
    this.#creditMs = Math.min(maxCreditMs, this.#creditMs + ms);
  }

  spend(ms: number): void {
    this.#creditMs -= ms;
  }
}

/** Nice values: 10 has a ninth of the weight of 0. */
const level = 0;
const barelyBehind = 1;
const behind = 10;

/**
 * The nice value of the engine's thread, by how much it has to do; Linux has one per thread. With few rows it is level with the HTTP thread;
 * with many, or many waiting, it is behind it, and behind lightly loaded engines.
 */
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

  /** Called after each step. */
  adjust({ rows, waiting }: Pick<StepReport, "rows" | "waiting">): void {
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
