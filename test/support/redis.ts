// A redis-server of a test's own: on a free port, with a folder of its own, stopped and started again at will.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";

/** Pass it as a test's skip: false, or why it can't run here. */
export const withoutRedis: false | string =
  spawnSync("redis-server", ["--version"]).error === undefined ? false : "redis-server is not installed";

export interface RedisServerOptions {
  /** Append-only file, written through at every command. */
  readonly isDurable?: boolean;
}

export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "seqserve-redis-"));
  readonly #isDurable: boolean;
  #process: ChildProcess | null = null;

  private constructor(port: number, isDurable: boolean) {
    this.port = port;
    this.#isDurable = isDurable;
  }

  static async start({ isDurable = false }: RedisServerOptions = {}): Promise<RedisServer> {
    const server = RedisServer.at(await freePort(), { isDurable });
    await server.restart();
    return server;
  }

  /** Not started yet. */
  static at(port: number, { isDurable = false }: RedisServerOptions = {}): RedisServer {
    return new RedisServer(port, isDurable);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, and resolves when it answers. Without isDurable it has forgotten everything. */
  async restart(): Promise<void> {
    const durability = this.#isDurable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    const options = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#folder, "--save", ""];
    const process = spawn("redis-server", [...options, ...durability], { stdio: "ignore" });
    this.#process = process;
    await this.#untilItAnswers(process);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (process === null || process.exitCode !== null) return;
    const exited = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Or until it is killed. */
  async #untilItAnswers(process: ChildProcess): Promise<void> {
    for (let tries = 0; tries < 1000 && this.#process === process; tries += 1) {
      const client = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null });
      client.on("error", () => undefined);
      const answer = await client.ping().catch(() => null);
      client.disconnect();
      if (answer === "PONG") return;
      await sleep(20);
    }
    if (this.#process === process) throw new Error(`redis-server does not answer at port ${this.port}`);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
