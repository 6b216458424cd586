// Reads a stream of OpenAI's chunks into what each choice said.

interface Choice {
  readonly index: number;
  readonly finish_reason: string | null;
  readonly text?: string;
  readonly delta?: { readonly content?: string | null };
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly Choice[];
  readonly usage?: object | null;
}

export interface ReadStream {
  readonly texts: string[];
  readonly reasons: (string | null)[];
  readonly usage: object | null;
  readonly ids: Set<string>;
  readonly chunks: number;
}

export async function readStream(stream: AsyncIterable<Chunk>): Promise<ReadStream> {
  const texts: string[] = [];
  const reasons: (string | null)[] = [];
  const ids = new Set<string>();
  let usage: object | null = null;
  let chunks = 0;
  for await (const chunk of stream) {
    chunks += 1;
    ids.add(chunk.id);
    usage = chunk.usage ?? usage;
    for (const { index, text, delta, finish_reason } of chunk.choices) {
      texts[index] = (texts[index] ?? "") + (text ?? delta?.content ?? "");
      if (finish_reason !== null) reasons[index] = finish_reason;
    }
  }
  return { texts, reasons, usage, ids, chunks };
}
