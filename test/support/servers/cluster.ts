// A whole system of real processes: a redis-server of its own, API nodes and workers from dist/, killed, stopped and drained by pid.
//
//   await using cluster = await Cluster.start({ apis: 2, workers: 2, env: { MODEL: "g2p-en" } });
//   cluster.workers[0].kill("SIGKILL"); … cluster.apis[0].url …
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisServer, type RedisServerOptions } from "./redis.js";
import { guarded } from "../../../bench/tools/child-guard.js";

export type Environment = Readonly<Record<string, string>>;
export type Line = Readonly<Record<string, unknown>> & { readonly msg?: string };

export interface ClusterOptions extends RedisServerOptions {
  readonly apis?: number;
  readonly workers?: number;
  /** Processes with ROLE=all. */
  readonly alls?: number;
  /** Settings of every process. */
  readonly env?: Environment;
}

const startPatienceMs = 120_000;

export class Cluster implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly apis: ServerProcess[] = [];
  readonly workers: ServerProcess[] = [];
  readonly alls: ServerProcess[] = [];
  readonly #env: Environment;

  private constructor(redis: RedisServer, env: Environment) {
    this.redis = redis;
    this.#env = env;
  }

  /** Resolves when all are ready and every API node sees a worker for each of its models. */
  static async start({ apis = 1, workers = 1, alls = 0, env = {}, ...redis }: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(await RedisServer.start(redis), env);
    try {
      await Promise.all([
        ...Array.from({ length: apis }, () => cluster.addApi()),
        ...Array.from({ length: workers }, () => cluster.addWorker()),
        ...Array.from({ length: alls }, () => cluster.addAll()),
      ]);
      if (workers + alls > 0) await Promise.all([...cluster.apis, ...cluster.alls].map((api) => api.untilServed()));
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  addApi(env: Environment = {}): Promise<ServerProcess> {
    return this.#add(this.apis, "api", env);
  }

  addWorker(env: Environment = {}): Promise<ServerProcess> {
    return this.#add(this.workers, "worker", env);
  }

  addAll(env: Environment = {}): Promise<ServerProcess> {
    return this.#add(this.alls, "all", env);
  }

  get processes(): readonly ServerProcess[] {
    return [...this.apis, ...this.alls, ...this.workers];
  }

  /** Kills what is left. */
  async close(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.kill("SIGKILL")));
    await this.redis.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #add(list: ServerProcess[], role: string, env: Environment): Promise<ServerProcess> {
    const process = new ServerProcess({ ROLE: role, REDIS_URL: this.redis.url, ...this.#env, ...env });
    list.push(process);
    await process.untilReady();
    return process;
  }
}

/** One server, started as `npm start` does, with its log. */
export class ServerProcess {
  readonly lines: Line[] = [];
  /** Exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  #url: string | null = null;
  #errors = "";
  #hasExited = false;

  constructor(settings: Environment) {
    const file = new URL("../../../src/server.js", import.meta.url).pathname;
    const defaults = { PORT: "0", LOG_FORMAT: "json", LOG_LEVEL: "debug", DRAIN_TIMEOUT_MS: "5000" };
    const env = { PATH: process.env["PATH"] ?? "", ...defaults, ...settings };
    this.#child = guarded(spawn(process.execPath, ["--v8-pool-size=1", file], { env }));
    this.exited = once(this.#child, "exit").then(([code, signal]) => {
      this.#hasExited = true;
      return (code ?? signal) as number | string;
    });
    let rest = "";
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) this.#take(part);
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#errors += chunk.toString()));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Null while it runs. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** http://127.0.0.1:<port> */
  get url(): string {
    if (this.#url === null) throw new Error(`it does not listen yet: ${this.#errors}`);
    return this.#url;
  }

  get errors(): string {
    return this.#errors;
  }

  /** Log lines with this message. */
  logged(message: string | RegExp): Line[] {
    return this.lines.filter(({ msg = "" }) => (typeof message === "string" ? msg === message : message.test(msg)));
  }

  async ready(): Promise<{ status: number; body: Record<string, unknown> }> {
    const answer = await fetch(`${this.url}/health/ready`);
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  untilReady(): Promise<void> {
    return this.until(async () => this.#url !== null && (await this.ready()).status === 200);
  }

  /** Every model has a worker. */
  untilServed(): Promise<void> {
    return this.until(async () => {
      const workers = Object.values((await this.ready()).body["workers"] as Record<string, number>);
      return workers.length > 0 && workers.every((count) => count > 0);
    });
  }

  async until(condition: () => Promise<boolean> | boolean): Promise<void> {
    for (const started = performance.now(); performance.now() - started < startPatienceMs; await sleep(25)) {
      if (await Promise.resolve(condition()).catch(() => false)) return;
      if (this.#hasExited) throw new Error(`the process has ended: ${this.#errors}`);
    }
    throw new Error(`it did not come true within ${startPatienceMs} ms: ${this.#errors}`);
  }

  /** Resolves when it is gone, except for SIGSTOP and SIGCONT, which it survives. */
  async kill(signal: NodeJS.Signals): Promise<number | string | null> {
    if (this.#hasExited) return this.exited;
    this.#child.kill(signal);
    return signal === "SIGSTOP" || signal === "SIGCONT" ? null : this.exited;
  }

  /** Sends it and does not wait. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #take(text: string): void {
    try {
      const line = JSON.parse(text) as Line;
      this.lines.push(line);
      this.#url ??= /^listening on (http\S+)/u.exec(line.msg ?? "")?.[1] ?? null;
    } catch {
      this.#errors += `${text}\n`;
    }
  }
}
