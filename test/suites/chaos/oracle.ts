// What undisturbed clients get: each request once through the embedded server, and how what a disturbed client saw is held against it.
import assert from "node:assert/strict";
import { startServer } from "../../../bench/tools/server-process.js";
import { workloads } from "../../../bench/tools/workload.js";
import { generation, type GenerationBody, type Seen } from "./resuming-client.js";

export interface Expected {
  readonly body: GenerationBody;
  readonly ids: readonly number[];
  readonly pieces: readonly string[];
  readonly outputs: unknown;
}

// The last ones go on for long, so that what disturbs a worker finds them running.
const searches: readonly { readonly min_new_tokens?: number; readonly [option: string]: unknown }[] = [
  {},
  { do_sample: true, temperature: 1.3, seed: 7 },
  { num_beams: 4, num_return_sequences: 2 },
  { do_sample: true, top_k: 20, seed: 11, num_return_sequences: 2 },
  { details: true, top_n_tokens: 2 },
  { num_beams: 3, length_penalty: 0.6, early_stopping: true },
  { min_new_tokens: 100 },
  { do_sample: true, seed: 3, min_new_tokens: 80 },
  { num_beams: 4, min_new_tokens: 60 },
];

/** What g2p-en gives at most. */
const shortest = 32;

/** Requests over both shipped models and all kinds of search (or those that go on for long), the longest inputs first: `count` of them. */
export function requests(count: number, kinds: "all" | "long" = "all"): GenerationBody[] {
  const chosen = kinds === "all" ? searches : searches.filter((search) => search.min_new_tokens !== undefined);
  const longest = workloads().map(({ model, inputs }) => ({
    model,
    inputs: [...inputs].sort((a, b) => b.length - a.length).slice(0, 200),
  }));
  return Array.from({ length: count }, (_, i) => {
    const { model, inputs } = longest[i % longest.length] ?? { model: "", inputs: [] };
    const search = chosen[Math.floor(i / longest.length) % chosen.length] ?? {};
    const isShort = model === "g2p-en" && search.min_new_tokens !== undefined;
    const parameters = isShort ? { ...search, min_new_tokens: shortest - 1 } : search;
    return { model, inputs: inputs[i % inputs.length], parameters };
  });
}

/** Through one embedded server that nobody disturbs. */
export async function expectedOf(bodies: readonly GenerationBody[]): Promise<Expected[]> {
  const server = await startServer();
  try {
    const expected: Expected[] = [];
    for (const body of bodies) expected.push({ body, ...told(await generation([server.url], body)) });
    return expected;
  } finally {
    await server.stop();
  }
}

/** Ids are 1..n without gaps or repeats, one terminal event came, and it came last; every piece and output is as expected. */
export function judge(seen: Seen, expected: Expected): void {
  assert.deepEqual(
    seen.events.map(({ id }) => id),
    seen.events.map((_, i) => i + 1),
    `ids of ${seen.id}`,
  );
  assert.deepEqual(
    seen.events.flatMap(({ event }, i) => (event === null ? [] : [[event, i + 1]])),
    [["end", seen.events.length]],
    `terminal events of ${seen.id}`,
  );
  const { pieces, ids, outputs } = told(seen);
  assert.deepEqual({ ids, pieces, outputs }, { ids: expected.ids, pieces: expected.pieces, outputs: expected.outputs });
}

function told({ events }: Seen) {
  const tokens = events.slice(0, -1).map(({ data }) => data["token"] as { id: number; text: string });
  return {
    ids: tokens.map(({ id }) => id),
    pieces: tokens.map(({ text }) => text),
    outputs: events.at(-1)?.data["outputs"],
  };
}
