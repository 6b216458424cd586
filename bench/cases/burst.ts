// The sender of bursts: a process of its own that costs the cores next to nothing, as clients on other machines would. Ready-made requests go
// out on open connections; of an answer it sees only how it begins and that it ends.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Workload } from "../tools/workload.js";

/** The first message to the process. Each further one is a burst's number, its answer the number of refused requests. */
export interface BurstStart {
  readonly port: number;
  readonly workload: Workload;
  readonly size: number;
}

const lastChunk = "0\r\n\r\n";

function requestOf({ model, inputs }: Workload, index: number): string {
  const body = JSON.stringify({ model, inputs: inputs[index % inputs.length], stream: true });
  const head = ["POST /generate HTTP/1.1", "host: localhost", "content-type: application/json"];
  return [...head, `content-length: ${Buffer.byteLength(body)}`, "", body].join("\r\n");
}

/** Resolves with whether it was answered rather than refused. */
function send(socket: Socket, request: string): Promise<boolean> {
  return new Promise((resolve) => {
    let tail = "";
    const read = (text: string) => {
      const isRefused = tail === "" && !text.startsWith("HTTP/1.1 200");
      tail = (tail + text).slice(-lastChunk.length);
      if (!isRefused && tail !== lastChunk) return;
      socket.removeListener("data", read);
      resolve(!isRefused);
    };
    socket.on("data", read);
    socket.write(request);
  });
}

async function serve({ port, workload, size }: BurstStart): Promise<void> {
  const sockets = Array.from({ length: size }, () => connect(port, "127.0.0.1").setNoDelay().setEncoding("latin1"));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  process.on("message", async (number: number) => {
    const requests = sockets.map((_, i) => requestOf(workload, number * size + i));
    const answered = await Promise.all(sockets.map((socket, i) => send(socket, requests[i] ?? "")));
    process.send?.(answered.filter((isAnswered) => !isAnswered).length);
  });
  process.send?.("ready");
}

process.once("message", (start: BurstStart) => void serve(start));
process.once("disconnect", () => process.exit(0));
