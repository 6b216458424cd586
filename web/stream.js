// A generation's tokens as they come, over any number of connections: POST /generations starts it, its events are read from the last number seen.
//
//   start ─▶ read events ─▶ end
//              ▲      │ the connection ends before the end
//              └─wait─┘
import { ApiError, call, post } from "./api.js";

const mostTries = 8;

/**
 * Resolves with the data of the end event. Aborting the signal cancels the generation on the server too.
 * @param {{ signal: AbortSignal, onToken(data: object): void, onCut(): void }} options
 */
export async function streamGeneration(request, { signal, onToken, onCut }) {
  const { id } = await post("generations", request, signal);
  const reading = { path: `generations/${id}`, last: 0, tries: 0 };
  try {
    for (;;) {
      const end = await readEvents(reading, signal, onToken).catch(cutOrThrow(signal));
      if (end !== null) return end;
      reading.tries += 1;
      if (reading.tries > mostTries) throw new ApiError("the connection was lost");
      onCut();
      await pause(Math.min(250 * 2 ** reading.tries, 5000), signal);
    }
  } catch (error) {
    if (signal.aborted) void call(reading.path, { method: "DELETE", keepalive: true }).catch(() => undefined);
    throw error;
  }
}

// What the server says is final, except that it is going away; a failing network is not.
function cutOrThrow(signal) {
  return (error) => {
    const isFinal = error instanceof ApiError && error.status !== 503;
    if (isFinal || signal.aborted) throw error;
    return null;
  };
}

/** Reads one connection. Null: it ended before the generation did. */
async function readEvents(reading, signal, onToken) {
  const headers = reading.last > 0 ? { "last-event-id": String(reading.last) } : {};
  const response = await call(`${reading.path}/events`, { headers, signal });
  if (response.status === 204) throw new ApiError("the generation ended unseen");
  for await (const { id, event, data } of parsed(response.body)) {
    if (event === "error") throw new ApiError(data.error, data.error_type === "unavailable" ? 503 : 0);
    if (event === "reconnect") return null;
    if (id <= reading.last) continue;
    reading.last = id;
    reading.tries = 0;
    if (event === "end") return data;
    onToken(data);
  }
  return null;
}

/** Server-sent events of a body; comments and heartbeats fall out. */
async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop() ?? "";
      yield* blocks.map(fieldsOf).filter(({ data }) => data !== undefined);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function fieldsOf(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/su, 2)));
  return {
    id: Number(fields.id ?? 0),
    event: fields.event ?? "token",
    data: fields.data === undefined ? undefined : JSON.parse(fields.data),
  };
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
