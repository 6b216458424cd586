// Mixed load on real processes: both models, JSON and streams, beams, samples, durable generations that are left and resumed, readers that leave, bad bodies.
import { setTimeout as sleep } from "node:timers/promises";
import { workloads } from "../../../bench/tools/workload.js";

const texts = workloads().map(({ model, inputs }) => ({ model, inputs: inputs.slice(0, 400) }));

type Kind = (url: string, body: Record<string, unknown>) => Promise<unknown>;

/** What a client does, one after another. Refusals and broken connections are part of it. */
const kinds: readonly Kind[] = [
  (url, body) => post(`${url}/generate`, body),
  (url, body) => stream(`${url}/generate_stream`, body),
  (url, body) => post(`${url}/generate`, { ...body, parameters: { num_beams: 4, num_return_sequences: 2 } }),
  (url, body) =>
    post(`${url}/generate`, { ...body, parameters: { do_sample: true, seed: 7, num_return_sequences: 2 } }),
  (url, body) => stream(`${url}/generate_stream`, { ...body, parameters: { min_new_tokens: 24 } }),
  durable,
  leave,
  (url, body) => post(`${url}/generate`, { ...body, parameters: { nonsense: 1 } }),
  (url, body) => post(`${url}/generate`, { ...body, parameters: { max_new_tokens: 2 } }),
];

export interface Load {
  /** Processes that answer. */
  readonly urls: readonly string[];
  readonly clients: number;
  /** Between two requests of a client. */
  readonly restMs: number;
}

/** Runs until stop() is called, which waits for the last requests. */
export function keepMixed({ urls, clients, restMs }: Load): { stop(): Promise<void> } {
  const over = new AbortController();
  let next = 0;
  const client = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const turn = next++;
      const { model, inputs } = texts[turn % texts.length] ?? { model: "", inputs: [] };
      const url = urls[Math.floor(turn / texts.length) % urls.length] ?? "";
      const kind = kinds[Math.floor(turn / texts.length / urls.length) % kinds.length];
      await kind?.(url, { model, inputs: inputs[turn % inputs.length] }).catch(() => undefined);
      await sleep(restMs * 2 * Math.random());
    }
  };
  const all = Promise.all(Array.from({ length: clients }, client));
  return {
    stop: async () => {
      over.abort();
      await all;
    },
  };
}

/** A text of a model. */
export function textOf(model: string, number: number): string {
  const { inputs } = texts.find((one) => one.model === model) ?? { inputs: [] };
  return inputs[number % inputs.length] ?? "";
}

export const modelNames = texts.map(({ model }) => model);

export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(120_000),
  });
  await response.arrayBuffer();
  return response.status;
}

async function stream(url: string, body: unknown): Promise<void> {
  await post(url, body, { accept: "text/event-stream" });
}

/** Starts one, reads a little, leaves, and comes back for the rest. */
async function durable(url: string, body: Record<string, unknown>): Promise<void> {
  const started = await fetch(`${url}/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, parameters: { min_new_tokens: 20 } }),
  });
  const { id } = (await started.json()) as { id: string };
  const last = await readSome(`${url}/generations/${id}/events`, {}, 3);
  const rest = await fetch(`${url}/generations/${id}/events`, { headers: { "last-event-id": String(last) } });
  await rest.arrayBuffer();
}

async function leave(url: string, body: Record<string, unknown>): Promise<void> {
  const long = JSON.stringify({ ...body, parameters: { min_new_tokens: 30 } });
  await readSome(
    `${url}/generate_stream`,
    { method: "POST", headers: { "content-type": "application/json" }, body: long },
    4,
  );
}

/** Reads this number of events, then drops the connection. Tells the last id. */
async function readSome(url: string, init: RequestInit, events: number): Promise<number> {
  const leaving = new AbortController();
  const response = await fetch(url, { ...init, signal: leaving.signal });
  let text = "";
  try {
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      if ((text.match(/^id: /gmu)?.length ?? 0) >= events) break;
    }
  } finally {
    leaving.abort();
  }
  return Number([...text.matchAll(/^id: (\d+)/gmu)].at(-1)?.[1] ?? 0);
}
