// The real server as a child process on a free port of this machine, for benches and evaluations.
import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { guarded } from "./child-guard.js";

/** A machine that is busy with other things is slow to start one. */
const patienceMs = 120_000;

export interface RunningServer {
  readonly url: string;
  readonly process: ChildProcess;
  /** Milliseconds from spawn to /health/ready. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

/** Starts dist/src/server.js with these settings, as npm start does; resolves when /health/ready answers 200. */
export async function startServer(settings: Record<string, string> = {}): Promise<RunningServer> {
  const port = await freePort();
  const started = performance.now();
  const env = { ...process.env, PORT: String(port), LOG_LEVEL: "error", ...settings };
  const file = new URL("../../src/server.js", import.meta.url).pathname;
  const child = guarded(
    spawn(process.execPath, ["--v8-pool-size=1", file], { env, stdio: ["ignore", "ignore", "inherit"] }),
  );
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, child);
  return { url, process: child, readyMs: performance.now() - started, stop: () => stop(child) };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  for (const started = performance.now(); performance.now() - started < patienceMs; await sleep(25)) {
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
    const response = await fetch(`${url}/health/ready`).catch(() => null);
    await response?.arrayBuffer();
    if (response?.ok) return;
  }
  throw new Error(`the server was not ready within ${patienceMs} ms`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
