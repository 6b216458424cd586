// A client of /generations as users write one: start, look up, read events strictly, over real sockets.
import assert from "node:assert/strict";
import { until } from "../until.js";

export interface StreamedEvent {
  readonly id: number | null;
  readonly event: string | null;
  readonly data: Record<string, unknown>;
}

export interface State {
  readonly id: string;
  readonly status: string;
  readonly last_event_id: number;
  readonly result: Record<string, unknown> | null;
  readonly error: { error: string; error_type: string } | null;
}

export class DurableClient {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, key?: string) {
    this.#url = url;
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  }

  post(body: unknown, headers: Record<string, string> = {}, path = "/generations"): Promise<Response> {
    return fetch(`${this.#url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...this.#headers, ...headers },
      body: JSON.stringify(body),
    });
  }

  async start(body: unknown): Promise<string> {
    const response = await this.post(body);
    assert.equal(response.status, 202, await response.clone().text());
    return ((await response.json()) as { id: string }).id;
  }

  get(path: string, headers: Record<string, string> = {}, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.#url}${path}`, { headers: { ...this.#headers, ...headers }, ...init });
  }

  cancel(id: string): Promise<Response> {
    return fetch(`${this.#url}/generations/${id}`, { method: "DELETE", headers: this.#headers });
  }

  async state(id: string): Promise<State> {
    const response = await this.get(`/generations/${id}`);
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as State;
  }

  async untilStatus(id: string, ...wanted: string[]): Promise<State> {
    let state = await this.state(id);
    await until(async () => wanted.includes((state = await this.state(id)).status), wanted.join(" or "));
    return state;
  }

  openEvents(id: string, after: number | null = null, init: RequestInit = {}): Promise<Response> {
    return this.get(`/generations/${id}/events`, after === null ? {} : { "last-event-id": String(after) }, init);
  }

  /** All events from there to the end of the response. */
  async events(id: string, after: number | null = null): Promise<StreamedEvent[]> {
    const response = await this.openEvents(id, after);
    assert.equal(response.status, 200, await response.clone().text());
    return parseEvents(await response.text());
  }
}

/** Reads events until `count` of them came, then drops the connection. Gives fewer when the stream ended before. */
export async function readSome(response: Response, count: number): Promise<StreamedEvent[]> {
  let text = "";
  let events: StreamedEvent[] = [];
  const reader = response.body!.getReader();
  while (events.length < count) {
    const { value, done } = await reader.read();
    if (done) break;
    text += Buffer.from(value).toString("utf8");
    events = parseEvents(text.slice(0, text.lastIndexOf("\n\n") + 2));
  }
  await reader.cancel();
  return events.slice(0, count);
}

/** Strictly: each event is id?, event?, one data line and a blank line; comments and retry stand alone. */
export function parseEvents(text: string): StreamedEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "" && !/^(:|retry: \d+$)/u.test(block))
    .map((block) => {
      const match = /^(?:id: (\d+)\n)?(?:event: (\w+)\n)?data: (.*)$/u.exec(block);
      assert.ok(match, `not an event: ${JSON.stringify(block)}`);
      const [, id, event = null, data = ""] = match;
      return { id: id === undefined ? null : Number(id), event, data: JSON.parse(data) as Record<string, unknown> };
    });
}

export function idsOf(events: readonly StreamedEvent[]): (number | null)[] {
  return events.map(({ id }) => id);
}

/** The text of the token events. */
export function textOf(events: readonly StreamedEvent[]): string {
  return events
    .filter(({ event }) => event === null)
    .map(({ data }) => (data["token"] as { text: string }).text)
    .join("");
}
