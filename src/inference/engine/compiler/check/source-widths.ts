// Widths that a folder's encoder takes. Most take any; the self-check finds the others by trying.
import type { Description } from "../description.js";
import { encodeRow, type Run } from "./check-rows.js";

/** `first` + n · `step`. */
export interface SourceWidths {
  readonly first: number;
  readonly step: number;
}

/** Smallest width that takes that many source ids. */
export function sourceWidth({ first, step }: SourceWidths, length: number): number {
  return first + step * Math.max(0, Math.ceil((length - first) / step));
}

export const usualWidths: SourceWidths = { first: 16, step: 16 };

export async function findSourceWidths(run: Run, description: Description): Promise<SourceWidths> {
  if ((await canEncode(run, description, 16)) && (await canEncode(run, description, 32))) return usualWidths;
  const working: number[] = [];
  for (let width = 16; width <= 1040 && working.length < 2; width += 16) {
    if (await canEncode(run, description, width)) working.push(width);
  }
  const [first = usualWidths.first, second] = working;
  return { first, step: second === undefined ? usualWidths.step : second - first };
}

async function canEncode(run: Run, description: Description, width: number): Promise<boolean> {
  try {
    await encodeRow(run, description, [5], width);
    return true;
  } catch {
    return false;
  }
}
