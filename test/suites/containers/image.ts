// `npm run suite -- image`: builds target cpu of the Dockerfile and runs it as hardened as it gets. With --pull the base image comes from its registry, else a stand-in is made.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../support/servers/redis.js";
import { streamGenerate } from "../../../bench/tools/sse-client.js";
import { version } from "../../../src/version.js";
import { boxEnvironment, buildOptions, openBox, run, tried } from "./box.js";
import { nodeImageName, standInForNode } from "./stand-ins.js";

export const imageName = `localhost/seqserve:${version}`;
const mostBytes = 350e6;

/** Builds it, or finds it built: layers that did not change are kept. */
export function buildImage({ pulls = false } = {}): void {
  openBox();
  if (!pulls) standInForNode();
  const labels = ["--build-arg", `VERSION=${version}`];
  run("buildah", ["build", ...buildOptions, ...labels, "--target", "cpu", "--tag", imageName, "."]);
}

/** Waits for the image's or compose file's own health check to pass; Podman without systemd does not run it by itself. */
export async function untilHealthy(container: string, seconds = 120): Promise<void> {
  for (let tries = 0; tries < seconds * 2; tries += 1) {
    if (tried("podman", ["healthcheck", "run", container]).code === 0) return;
    await sleep(500);
  }
  throw new Error(`${container} is not healthy: ${tried("podman", ["logs", "--tail", "20", container]).said}`);
}

export interface Streamed {
  readonly events: number;
  /** Those that came after `then` was done. */
  readonly eventsAfter: number;
}

/** By then all twelve are admitted, though a third of them has the rows. */
const eventsBefore = 60;

/** Twelve streams, a few seconds of work, of which `then` is called in the middle. Each must be told whole and to its end. */
export async function streamThrough(url: string, then: () => Promise<void>): Promise<Streamed> {
  const parameters = { num_beams: 8, min_new_tokens: 120, max_new_tokens: 128 };
  const request = { inputs: "twenty five dollars", model: "itn-en", parameters };
  let [events, eventsAfter, isDone] = [0, 0, false];
  let doing: Promise<void> | null = null;
  const one = async (): Promise<void> => {
    let [count, last] = [0, ""];
    for await (const { id, event } of streamGenerate(url, request)) {
      count += 1;
      assert.equal(id, count);
      last = event ?? "token";
      events += 1;
      if (isDone) eventsAfter += 1;
      if (events >= eventsBefore) doing ??= then().finally(() => (isDone = true));
    }
    assert.equal(last, "end");
  };
  await Promise.all(Array.from({ length: 12 }, one));
  await doing;
  return { events, eventsAfter };
}

/** As `docker stop`: the image's stop signal, these seconds of grace, and no restart. While this process goes on reading. */
export async function stop(graceSeconds: number, ...containers: string[]): Promise<void> {
  const args = ["stop", "--time", String(graceSeconds), ...containers];
  const child = spawn("podman", args, { env: boxEnvironment(), stdio: "ignore" });
  assert.deepEqual(await once(child, "exit"), [0, null]);
}

/** In its log. */
export async function untilItSays(container: string, text: string): Promise<void> {
  while (!tried("podman", ["logs", container]).said.includes(text)) await sleep(20);
}

const hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"];
const limits = ["--memory", "1g", "--cpus", "1.5", "--pids-limit", "256"];

async function main(): Promise<void> {
  buildImage({ pulls: process.argv.includes("--pull") });
  sizeIsBounded();
  commandsRun();
  readOnlyWithoutTmpfs();
  await servesAndDrains();
  stopsBeforeItListens();
  process.stdout.write("all is well\n");
}

function sizeIsBounded(): void {
  const [bytes = 0, base = 0] = [imageName, nodeImageName()].map((name) =>
    Number(run("podman", ["image", "inspect", "--format", "{{.Size}}", name])),
  );
  process.stdout.write(`${imageName}: ${megabytes(bytes)}, of which ${megabytes(base)} are its base's\n`);
  assert.ok(bytes <= mostBytes, `more than ${megabytes(mostBytes)}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function commandsRun(): void {
  const options = ["run", "--rm", ...hardened, ...limits];
  assert.equal(run("podman", [...options, imageName, "--version"]), version);
  assert.equal(run("podman", [...options, imageName, "generate", "knights", "--model", "g2p-en"]), "N AY1 T S");
}

// The volume that the image declares takes the compiled graphs.
function readOnlyWithoutTmpfs(): void {
  const options = ["run", "--rm", ...hardened, ...limits, "--read-only-tmpfs=false"];
  const said = run("podman", [...options, imageName, "check", "/models/itn-en", "--json"]);
  assert.match(said, /"batching": "any_age"/u, "the rewritten graphs were kept");
}

async function servesAndDrains(): Promise<void> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const tmpfs = ["--tmpfs", "/tmp", "--tmpfs", "/cache"];
  const container = run("podman", [
    "run",
    "--detach",
    ...hardened,
    ...limits,
    ...tmpfs,
    "--env",
    `PORT=${port}`,
    imageName,
  ]);
  try {
    await untilHealthy(container);
    assert.match(
      tried("podman", ["logs", container]).said,
      /rewritten for rows of any age/u,
      "it keeps compiled graphs",
    );
    const status = run("podman", ["exec", container, "cat", "/proc/self/status"]);
    assert.match(status, /^Uid:\t1000\t/mu);
    assert.match(status, /^CapBnd:\t0+$/mu);
    assert.match(status, /^NoNewPrivs:\t1$/mu);
    assert.notEqual(
      tried("podman", ["exec", container, "touch", "/app/x"]).code,
      0,
      "the root file system is read-only",
    );

    let stopped: Promise<unknown> = Promise.resolve();
    const { events, eventsAfter } = await streamThrough(url, async () => {
      stopped = stop(60, container);
      await untilItSays(container, "shutting down");
    });
    assert.ok(eventsAfter > 0, "it came in the middle");
    await stopped;
    const code = run("podman", ["inspect", "--format", "{{.State.ExitCode}}", container]);
    assert.equal(code, "0", tried("podman", ["logs", "--tail", "5", container]).said);
    process.stdout.write(`SIGTERM with ${eventsAfter} of ${events} events to come: all told, exit code ${code}\n`);
  } finally {
    tried("podman", ["rm", "--force", "--volumes", container]);
  }
}

// Node as process 1 would ignore the signal until its handlers are there.
function stopsBeforeItListens(): void {
  const container = run("podman", ["run", "--detach", ...hardened, ...limits, imageName]);
  run("podman", ["kill", "--signal", "SIGTERM", container]);
  const code = tried("timeout", ["30", "podman", "wait", container]).said.trim();
  tried("podman", ["rm", "--force", "--volumes", container]);
  process.stdout.write(`SIGTERM at once: exit code ${code}\n`);
  assert.match(code, /^(0|143)$/u);
}

if (process.argv[1] === import.meta.filename) await main();
