// Server-sent events over a raw response: one event per call, heartbeats when idle, and a reader that does not read is closed.
// Own writer because @fastify/sse's send() never settles when a client leaves under backpressure (fastify/sse #54).
import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import type { Metrics } from "../../telemetry/metrics.js";

export interface SseTimings {
  /** Silence after which a comment is sent. */
  readonly heartbeatMs: number;
  /** How long a reader may leave a full buffer unread. */
  readonly drainMs: number;
}

export const usualTimings: SseTimings = { heartbeatMs: 15_000, drainMs: 30_000 };

export interface SseEvent {
  readonly id?: number;
  /** Left out for token events: TGI has none there. */
  readonly event?: "end" | "error" | "reconnect";
  /** Becomes one line of JSON. */
  readonly data: unknown;
}

type StreamMetrics = Pick<Metrics, "streamOpened" | "streamClosed">;

export class SseStream {
  readonly #raw: ServerResponse;
  readonly #timings: SseTimings;
  readonly #heartbeat: NodeJS.Timeout;

  /** Takes the reply over and sends the headers and a first comment at once. */
  constructor(reply: FastifyReply, timings: SseTimings, metrics: StreamMetrics) {
    this.#raw = reply.raw;
    this.#timings = timings;
    reply.hijack();
    this.#raw.once("close", () => {
      clearInterval(this.#heartbeat);
      metrics.streamClosed();
    });
    metrics.streamOpened();
    // A socket that dies mid-write reports here; "close" follows and tells everyone.
    this.#raw.on("error", () => undefined);
    this.#raw.writeHead(200, { ...definedHeaders(reply), ...streamHeaders });
    this.#raw.write(": ok\n\n");
    this.#heartbeat = setInterval(() => this.#ping(), timings.heartbeatMs);
    this.#heartbeat.unref();
  }

  get isOpen(): boolean {
    return !this.#raw.destroyed && !this.#raw.writableEnded;
  }

  /** Resolves when the event is written and there is room for the next, or when the stream is closed. Never throws. */
  async send(event: SseEvent): Promise<void> {
    if (!this.isOpen) return;
    this.#heartbeat.refresh();
    if (!this.#raw.write(formatted(event))) await this.#drained();
  }

  /** Tells EventSource how long to wait before it comes back. */
  retry(ms: number): void {
    if (this.isOpen) this.#raw.write(`retry: ${ms}\n\n`);
  }

  /** OpenAI's last line, which is not JSON. */
  done(): void {
    if (this.isOpen) this.#raw.write("data: [DONE]\n\n");
  }

  /** Ends the response; does nothing when it is closed. */
  end(): void {
    clearInterval(this.#heartbeat);
    if (this.isOpen) this.#raw.end();
  }

  #ping(): void {
    if (this.isOpen && !this.#raw.writableNeedDrain) this.#raw.write(": ping\n\n");
  }

  #drained(): Promise<void> {
    const raw = this.#raw;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(deadline);
        raw.removeListener("drain", done);
        raw.removeListener("close", done);
        resolve();
      };
      const deadline = setTimeout(() => raw.destroy(), this.#timings.drainMs);
      raw.once("drain", done);
      raw.once("close", done);
    });
  }
}

const streamHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

// JSON.stringify escapes line breaks, so data is always one line; id and event can't hold any.
function formatted({ id, event, data }: SseEvent): string {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  const eventLine = event === undefined ? "" : `event: ${event}\n`;
  return `${idLine}${eventLine}data: ${JSON.stringify(data)}\n\n`;
}

function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const entries = Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return Object.fromEntries(entries) as Record<string, string | number | string[]>;
}
