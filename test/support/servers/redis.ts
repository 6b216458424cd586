// A redis-server of a test's own: on a free port, with a folder of its own, stopped and started again at will.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { guarded } from "../../../bench/tools/child-guard.js";

/** Pass it as a test's skip: false, or why it can't run here. */
export const withoutRedis: false | string =
  spawnSync("redis-server", ["--version"]).error === undefined ? false : "redis-server is not installed";

export interface RedisServerOptions {
  /** Append-only file: written through at every command, or every second as most people run it. */
  readonly isDurable?: boolean | "everysec";
  /** A write beyond the limit on file sizes (prlimit) fails, as on a full disk, instead of killing it. */
  readonly outlivesFileLimit?: boolean;
}

export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "seqserve-redis-"));
  readonly #isDurable: boolean | "everysec";
  readonly #outlivesFileLimit: boolean;
  #child: ChildProcess | null = null;

  private constructor(port: number, { isDurable = false, outlivesFileLimit = false }: RedisServerOptions) {
    this.port = port;
    this.#isDurable = isDurable;
    this.#outlivesFileLimit = outlivesFileLimit;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = RedisServer.at(await freePort(), options);
    await server.restart();
    return server;
  }

  /** Not started yet. */
  static at(port: number, options: RedisServerOptions = {}): RedisServer {
    return new RedisServer(port, options);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it, and resolves when it answers. Without isDurable it has forgotten everything. */
  async restart(): Promise<void> {
    const fsync = this.#isDurable === "everysec" ? "everysec" : "always";
    const durability =
      this.#isDurable === false ? ["--appendonly", "no"] : ["--appendonly", "yes", "--appendfsync", fsync];
    const options = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#folder, "--save", ""];
    const command = ["redis-server", ...options, ...durability];
    // A signal that is ignored stays so through exec.
    const child = this.#outlivesFileLimit
      ? spawn("sh", ["-c", `trap '' XFSZ; exec "$@"`, "sh", ...command], { stdio: "ignore" })
      : spawn(command[0] ?? "", command.slice(1), { stdio: "ignore" });
    this.#child = guarded(child);
    await this.#untilItAnswers(child);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Or until it is killed. */
  async #untilItAnswers(child: ChildProcess): Promise<void> {
    for (let tries = 0; tries < 1000 && this.#child === child; tries += 1) {
      const client = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null });
      client.on("error", () => undefined);
      const answer = await client.ping().catch(() => null);
      client.disconnect();
      if (answer === "PONG") return;
      await sleep(20);
    }
    if (this.#child === child) throw new Error(`redis-server does not answer at port ${this.port}`);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
