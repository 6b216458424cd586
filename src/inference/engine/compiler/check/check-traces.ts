// What the self-check feeds, and what the stock files answer: random sources and ids, and the stock logits after each.
import { attentionMask, integers } from "./step-feeds.js";
import type { Run } from "./check-run.js";
import type { CheckOptions } from "./self-check.js";
import { sourceWidth, usualWidths, type SourceWidths } from "./source-widths.js";
import { stockTrace } from "./stock-trace.js";

const steps = 8;

export interface Trace {
  readonly source: readonly number[];
  readonly ids: readonly number[];
  /** Stock logits at age 0, 1, … */
  readonly logits: readonly Float32Array[];
}

export async function stockTraces(run: Run, options: CheckOptions, widths: SourceWidths): Promise<Trace[]> {
  const random = randomIds(options);
  const traces: Trace[] = [];
  for (const length of [5, 9, 3]) {
    const source = random(length, options.sourceVocab);
    const ids = random(steps, options.description.vocabSize);
    // Exactly its own width where the files allow it: then padding is part of what is checked.
    const width =
      widths.step === usualWidths.step && (await takesOddWidths(run, source)) ? length : sourceWidth(widths, length);
    traces.push({ source, ids, logits: await stockTrace(run, options, { ids: source, width }, ids) });
  }
  return traces;
}

async function takesOddWidths(run: Run, source: readonly number[]): Promise<boolean> {
  const feeds = {
    input_ids: integers(source, [1, source.length]),
    attention_mask: attentionMask([source.length], source.length),
  };
  return run("stock.encoder", feeds, ["last_hidden_state"]).then(
    () => true,
    () => false,
  );
}

// Ids that a family treats apart (pad) stay out; low ids are mostly special.
function randomIds(options: CheckOptions): (count: number, vocab: number) => number[] {
  const pad = options.description.positions?.pad?.id;
  let state = 12345;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return (count, vocab) => {
    const low = Math.min(5, vocab - 1);
    const draw = (): number => low + Math.floor(next() * (vocab - low));
    return Array.from({ length: count }, draw).map((id) => (id === pad ? low : id));
  };
}
