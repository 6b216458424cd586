// A real HTTP receiver of webhooks: answers with the given statuses in turn (the last one for ever) and keeps what came.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface ReceivedCall {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

export interface WebhookReceiver {
  /** http://127.0.0.1:<port>/hook */
  readonly url: string;
  readonly port: number;
  readonly calls: ReceivedCall[];
  close(): Promise<void>;
}

export interface PlannedAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  /** Never answers. */
  readonly hangs?: boolean;
}

export async function webhookReceiver(plan: readonly PlannedAnswer[] = [{ status: 200 }]): Promise<WebhookReceiver> {
  const calls: ReceivedCall[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    calls.push({ path: request.url ?? "", headers: request.headers, body, at: performance.now() });
    const answer = plan[Math.min(calls.length, plan.length) - 1]!;
    if (answer.hangs === true) return;
    response.writeHead(answer.status, answer.headers).end("x".repeat(100_000));
  }).listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    port,
    calls,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
