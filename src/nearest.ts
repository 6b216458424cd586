// "Did you mean": the known name nearest to one that is not known. Used for fields, routes, models and settings.

/**
 * The known name nearest to `name`, or null when none is near. Case, "_" and "-" don't count: topK is near top_k.
 */
export function nearest(name: string, known: readonly string[]): string | null {
  const wanted = normalize(name).slice(0, 64);
  let best: string | null = null;
  let fewestEdits = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const edits = distance(wanted, normalize(candidate));
    if (edits < fewestEdits) {
      best = candidate;
      fewestEdits = edits;
    }
  }
  return best;
}

/** " (did you mean x?)", or nothing. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null ? "" : ` (did you mean ${near}?)`;
}

/** Levenshtein distance; a swap of neighbours counts as one edit. */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1));
      const swapped = row > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, at(beforeLast, column - 2) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, right.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}

function distance(wanted: string, candidate: string): number {
  if (wanted === candidate) return 0;
  if (wanted.length >= 4 && candidate.includes(wanted)) return 1;
  return editDistance(wanted, candidate);
}

function normalize(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/gu, "");
}
