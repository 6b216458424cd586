// A client as users write one: POST with stream true, events as they come, with the time of each.

export interface TimedEvent {
  /** Milliseconds since the request was sent. */
  readonly atMs: number;
  readonly id: number | null;
  readonly event: string | null;
  readonly data: Record<string, unknown>;
}

/** Yields every data event; throws on a status that is not 2xx. */
export async function* streamGenerate(url: string, body: object, signal?: AbortSignal): AsyncGenerator<TimedEvent> {
  const started = performance.now();
  const response = await fetch(`${url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ ...body, stream: true }),
    ...(signal !== undefined && { signal }),
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = parseBlock(block);
      if (event !== null) yield { atMs: performance.now() - started, ...event };
    }
  }
}

function parseBlock(block: string): Omit<TimedEvent, "atMs"> | null {
  const fields = block.split("\n").map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  });
  const value = (name: string) => fields.find(([field]) => field === name)?.[1] ?? null;
  const data = value("data");
  if (data === null) return null;
  const id = value("id");
  return {
    id: id === null ? null : Number(id),
    event: value("event"),
    data: JSON.parse(data) as Record<string, unknown>,
  };
}
