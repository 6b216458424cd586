// What the two segmenters have in common: a normalised text in, segments with piece ids out.

export interface Segment {
  readonly text: string;
  readonly id: number;
}

export type Segmenter = (normalized: string) => Segment[];

/** UTF-8 bytes of a well-formed text. */
export function byteLengthOf(text: string): number {
  return Buffer.byteLength(text, "utf8");
}
