// Models that stop at a token until the test lets them go on: what is to happen in the middle of a generation happens there, however quick the model is.
//
//   using gate = new EngineGate(12); Cluster.start({ env: { …, ...gate.env } }); gate.close(); … at most 12 steps … gate.open();
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class EngineGate implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "seqserve-gate-"));
  readonly #file = join(this.#folder, "closed");
  readonly #steps: number;

  /** Open at first. `steps`: how many a sequence may take while it is closed. */
  constructor(steps: number) {
    this.#steps = steps;
  }

  /** For processes whose engines stop at it. */
  get env(): Readonly<Record<string, string>> {
    const preload = new URL("./gated-engine.js", import.meta.url).href;
    return { ENGINE_GATE: this.#file, ENGINE_GATE_STEPS: String(this.#steps), NODE_OPTIONS: `--import=${preload}` };
  }

  close(): void {
    writeFileSync(this.#file, "");
  }

  open(): void {
    rmSync(this.#file, { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
