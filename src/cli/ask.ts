// Asks an app of this process for a generation, as a client would: the answer object, or the text bit by bit.
import type { Readable } from "node:stream";
import type { Answer, TokenEventBody } from "../routes/generate/schemas.js";
import type { App } from "../routes/http/app.js";

/** Body of POST /generate. */
export interface Ask {
  readonly inputs: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Throws the one line that the server answers. */
export async function answerOf(app: App, ask: Ask): Promise<{ text: string; answer: Answer }> {
  const { statusCode, body } = await app.inject({ method: "POST", url: "/generate", payload: ask });
  if (statusCode !== 200) throw refusal(body);
  return { text: body, answer: JSON.parse(body) as Answer };
}

/** Yields what each token adds. Throws the one line that the server answers, or ends the stream with. */
export async function* streamOf(app: App, ask: Ask): AsyncGenerator<string> {
  const payload = { ...ask, stream: true };
  const response = await app.inject({ method: "POST", url: "/generate", payload, payloadAsStream: true });
  const stream = response.stream();
  if (response.statusCode !== 200) throw refusal(await textOf(stream));
  try {
    for await (const { event, data } of eventsOf(stream)) {
      if (event === "error") throw refusal(data);
      if (event === "end") return;
      yield (JSON.parse(data) as TokenEventBody).token.text;
    }
  } finally {
    // As a socket that closes: the writer must not wait for a reader that has gone.
    response.raw.res.destroy();
  }
  throw new Error("the text ended in its middle");
}

function refusal(body: string): Error {
  return new Error((JSON.parse(body) as { error: string }).error);
}

async function textOf(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

async function* eventsOf(stream: Readable): AsyncGenerator<{ event: string; data: string }> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of stream) {
    const blocks = `${rest}${decoder.decode(part as Buffer, { stream: true })}`.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = /^data: (.*)$/mu.exec(block)?.[1];
      if (data !== undefined) yield { event: /^event: (.*)$/mu.exec(block)?.[1] ?? "message", data };
    }
  }
}
