// Proof at load that several steps in one run choose what as many single steps do, for rows of different ages. Otherwise single steps serve.
import type { RowScores } from "../decoding/search.js";
import { largest, selectTop } from "../decoding/rules/selection.js";
import type { Row, Seq2SeqModel, LoadOptions } from "./model.js";

const checkedRows = 3;
/** No id: rows go on to the last step. */
const noEnd = [-1];

/** Of the largest logit: what follows the steps must be the same too, or the states that they left are wrong. */
const tolerance = 0.01;

/** `idsOf` gives so many ids that the encoder takes. */
export async function greedyHolds(model: Seq2SeqModel, idsOf: (count: number) => readonly number[]): Promise<boolean> {
  const { greedy } = model;
  if (greedy == null) return false;
  const sources = Array.from({ length: checkedRows }, (_, row) => idsOf(3 + 2 * row));
  const single = await ranRows(model, sources, async (rows) => {
    const chosen: number[][] = rows.map(() => []);
    for (let step = 0; step < greedy.most; step += 1) await chooseOnce(model, rows, chosen);
    return chosen;
  });
  const ends = sources.map(() => noEnd);
  const together = await ranRows(model, sources, async (rows) => {
    const chosen = await greedy.run(rows, ends, greedy.most);
    rows.forEach((row, index) => (row.token = chosen[index]?.at(-1) ?? 0));
    return chosen;
  });
  const isSame = JSON.stringify(together.chosen) === JSON.stringify(single.chosen);
  return isSame && together.next.every((logits, row) => isClose(logits, single.next[row]));
}

function isClose(one: Float32Array, other: Float32Array | undefined): boolean {
  const far = tolerance * largest(one.map(Math.abs));
  return other !== undefined && one.every((logit, id) => Math.abs(logit - (other[id] ?? 0)) <= far);
}

/** Some ids below `top`, the same each time. */
export function someIds(count: number, top: number): number[] {
  return Array.from({ length: count }, (_, index) => (index * 7919 + count) % top);
}

export const choseOthers = "runs of several steps chose other ids";

/** For the banner and /models. */
export function stepsNotes({ stepsPerRun = 1 }: LoadOptions, made: number, why = choseOthers): string[] {
  if (stepsPerRun === 1) return [];
  return [made > 1 ? `up to ${made} greedy steps in one run` : `one step a run: ${why}`];
}

type Work = (rows: readonly Row[]) => Promise<readonly (readonly number[])[]>;

// Rows join one after the other, so that each has an age of its own.
async function ranRows(model: Seq2SeqModel, sources: readonly (readonly number[])[], work: Work) {
  const rows: Row[] = [];
  for (const memory of await model.encode(sources)) {
    rows.push(model.open(memory));
    await chooseOnce(model, rows, []);
  }
  try {
    const chosen = await work(rows);
    const scores = await model.step(
      rows,
      rows.map(() => ({ kind: "full" })),
    );
    return { chosen, next: rows.map((_, index) => logitsOf(scores.row(index)).slice()) };
  } finally {
    model.release(rows);
  }
}

async function chooseOnce(model: Seq2SeqModel, rows: readonly Row[], chosen: readonly number[][]): Promise<void> {
  const scores = await model.step(
    rows,
    rows.map(() => ({ kind: "full" })),
  );
  rows.forEach((row, index) => {
    const logits = logitsOf(scores.row(index));
    const [best = 0] = selectTop(logits, null, logits.length, 1).ids;
    row.token = best;
    chosen[index]?.push(best);
  });
}

function logitsOf(scores: RowScores): Float32Array {
  if (scores.kind === "full") return scores.logits;
  throw new Error("the model returned its best logits where all were wanted");
}
