// How the rewritings say "this graph is not one I know": a typed outcome with the reason and the node. Every other file here uses it.

/** Outcome of a rewriting. A refusal is no fault: the caller serves the stock files in another way and can say why. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | Refusal;

export interface Refusal {
  readonly ok: false;
  /** One sentence for a log line and for the check command. */
  readonly reason: string;
  /** Name of the node, value or file where the pattern broke; "" when the graph as a whole is meant. */
  readonly node: string;
}

/** Thrown inside a rewriting where a pattern ends; turned into a Refusal by `attempt`, never seen by callers of `compile`. */
export class PatternMissing extends Error {
  override readonly name = "PatternMissing";
  readonly node: string;

  constructor(reason: string, node: string) {
    super(reason);
    this.node = node;
  }
}

export function attempt<T>(rewriting: () => T): Outcome<T> {
  try {
    return { ok: true, value: rewriting() };
  } catch (error) {
    if (error instanceof PatternMissing) return { ok: false, reason: error.message, node: error.node };
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, reason: `the model could not be read or rewritten: ${reason}`, node: "" };
  }
}
