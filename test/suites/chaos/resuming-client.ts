// A client as docs/generations.md tells to write one: POST /generations with an Idempotency-Key, then events, resumed by Last-Event-ID at the next node whenever
// a connection breaks. It keeps what it saw, so that a test can judge it.
import { randomUUID } from "node:crypto";
import { Agent, request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

/** A body of POST /generations. */
export type GenerationBody = Readonly<Record<string, unknown>>;

export interface SeenEvent {
  readonly id: number;
  readonly event: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  /** Milliseconds of the monotonic clock. */
  readonly at: number;
}

/** All that one client saw, repeats included. */
export interface Seen {
  readonly id: string;
  readonly events: readonly SeenEvent[];
  readonly resumes: number;
  /** Between two new events, or the POST and the first. */
  readonly longestGapMs: number;
}

export interface ClientOptions {
  /** Called at each event that is new. */
  readonly onEvent?: (event: SeenEvent, id: string) => void;
  /** Gives up after this time without anything new. */
  readonly patienceMs?: number;
}

const agent = new Agent({ keepAlive: true });
const retryMs = 20;

/** Runs one generation to its end over these API nodes; rejects when a node refuses it for good, or patience ends. */
export async function generation(
  urls: readonly string[],
  body: GenerationBody,
  options: ClientOptions = {},
): Promise<Seen> {
  const course = new Course(urls, options);
  const id = await course.start(body);
  while (!course.isOver) await course.follow(id);
  return { id, events: course.events, resumes: course.resumes, longestGapMs: course.longestGapMs };
}

class Course {
  readonly events: SeenEvent[] = [];
  resumes = -1;
  longestGapMs = 0;
  isOver = false;
  readonly #urls: readonly string[];
  readonly #options: ClientOptions;
  #node = 0;
  #lastAt = performance.now();

  constructor(urls: readonly string[], options: ClientOptions) {
    this.#urls = urls;
    this.#options = options;
    this.#node = Math.floor(Math.random() * urls.length);
  }

  /** The same key at each try: a node that died after it had taken the request must not make two. */
  async start(body: GenerationBody): Promise<string> {
    const headers = { "content-type": "application/json", "idempotency-key": randomUUID() };
    for (;;) {
      const response = await this.#send("POST", "/generations", headers, JSON.stringify(body));
      if (response !== null) {
        const answer = await text(response).catch(() => "");
        if (response.statusCode === 202) return String((JSON.parse(answer) as { id: unknown }).id);
        if (!isPassing(response.statusCode)) throw new Error(`POST /generations: ${response.statusCode} ${answer}`);
      }
      await this.#another();
    }
  }

  async follow(id: string): Promise<void> {
    const last = this.events.at(-1)?.id ?? 0;
    const headers = { accept: "text/event-stream", "last-event-id": String(last) };
    const response = await this.#send("GET", `/generations/${id}/events`, headers);
    this.resumes += 1;
    if (response?.statusCode === 200) await this.#read(response, id).catch(() => undefined);
    else if (response !== null) await this.#refused(response);
    if (!this.isOver) await this.#another();
  }

  async #refused(response: IncomingMessage): Promise<void> {
    const answer = await text(response).catch(() => "");
    if (response.statusCode === 204) throw new Error("204 before a terminal event");
    if (!isPassing(response.statusCode)) throw new Error(`events: ${response.statusCode} ${answer}`);
  }

  async #read(response: IncomingMessage, id: string): Promise<void> {
    response.setEncoding("utf8");
    let rest = "";
    for await (const chunk of response as AsyncIterable<string>) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.#see(block, id);
    }
  }

  #see(block: string, id: string): void {
    const event = eventOf(block);
    if (event === null) return;
    const isNew = event.id > (this.events.at(-1)?.id ?? 0);
    this.events.push(event);
    if (!isNew) return;
    this.longestGapMs = Math.max(this.longestGapMs, event.at - this.#lastAt);
    this.#lastAt = event.at;
    this.isOver ||= event.event === "end" || event.event === "error";
    this.#options.onEvent?.(event, id);
  }

  async #another(): Promise<void> {
    const { patienceMs = 60_000 } = this.#options;
    if (performance.now() - this.#lastAt > patienceMs)
      throw new Error(`nothing new in ${patienceMs} ms, after event ${this.events.at(-1)?.id ?? 0}`);
    this.#node += 1;
    await sleep(retryMs);
  }

  /** null when no answer came. */
  #send(method: string, path: string, headers: Record<string, string>, body = ""): Promise<IncomingMessage | null> {
    const url = `${this.#urls[this.#node % this.#urls.length]}${path}`;
    return new Promise((resolve) => {
      request(url, { method, agent, headers }, resolve)
        .on("error", () => resolve(null))
        .end(body);
    });
  }
}

// A node that is starting, draining or has lost Redis; a queue that is full.
function isPassing(status: number | undefined): boolean {
  return status === 503 || status === 429;
}

function eventOf(block: string): SeenEvent | null {
  const field = (name: string) =>
    block
      .split("\n")
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2) ?? null;
  const [id, data] = [field("id"), field("data")];
  if (id === null || data === null) return null;
  const at = performance.now();
  return { id: Number(id), event: field("event"), data: JSON.parse(data) as Record<string, unknown>, at };
}
