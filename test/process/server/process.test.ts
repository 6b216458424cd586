// The process: one line for a wrong setting, help, the device, and a graceful end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { cudaFault } from "../../../src/inference/device/cuda-fault.js";
import { cudaParts } from "../../../src/inference/device/cuda-parts.js";
import { wireEvents } from "../../support/servers/scripted.js";
import { guarded } from "../../../bench/tools/child-guard.js";

const empty = mkdtempSync(join(tmpdir(), "seqserve-"));
after(() => rmSync(empty, { recursive: true }));

function start(args: string[], environment: Record<string, string> = {}) {
  const file = new URL("../../../src/server.js", import.meta.url).pathname;
  const env = { PATH: process.env["PATH"] ?? "", ...environment };
  const child = guarded(spawn(process.execPath, [file, ...args], { env }));
  const seen = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (seen.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (seen.err += chunk.toString()));
  // Not "exit", after which output may still come.
  return { child, seen, exited: once(child, "close") as Promise<[number | null]> };
}

test("a wrong setting stops the start with one line and exit code 1", async () => {
  const wrong: [string[], Record<string, string>, RegExp][] = [
    [
      ["--max-batch-row", "3"],
      {},
      /^seqserve: --max-batch-row: unknown setting \(did you mean --max-batch-rows\?\)\n$/u,
    ],
    [[], { PORT: "x" }, /^seqserve: PORT: must be a whole number from 0 to 65535 \(got "x"\)\n$/u],
    [[], { MODELS_DIR: "/does/not/exist" }, /^seqserve: MODELS_DIR: [^\n]*\n$/u],
    [["--models-dir", empty, "--model", "nope"], {}, /^seqserve: MODEL: [^\n]*\n$/u],
    [["--models-dir", empty, "--host", "203.0.113.1"], {}, /^seqserve: [^\n]*203\.0\.113\.1[^\n]*\n$/u],
  ];
  for (const [args, environment, line] of wrong) {
    const { seen, exited } = start(args, environment);
    const [code] = await exited;
    assert.equal(code, 1, seen.err);
    assert.match(seen.err, line);
  }
});

test("--help and --version answer and end", async () => {
  const help = start(["--help"]);
  assert.deepEqual(await help.exited, [0, null]);
  assert.match(help.seen.out, /--max-batch-rows +Rows decoded together/u);
  const version = start(["--version"]);
  await version.exited;
  assert.match(version.seen.out, /^\d+\.\d+\.\d+\n$/u);
});

// Where CUDA works there is nothing to refuse: gpu.test.ts runs there.
const fault = cudaFault(cudaParts(true), 0);

test("DEVICE=cuda stops the start with what is missing", { skip: fault === null && "CUDA may work here" }, async () => {
  const commands: [string[], string][] = [
    [["--device", "cuda"], "cuda"],
    [["--device", "cuda:0", "--log-format", "json"], "cuda:0"],
    [["check", "models/itn-en", "--device", "cuda"], "cuda"],
    [["generate", "x", "--model", "itn-en", "--device", "cuda"], "cuda"],
  ];
  for (const [args, device] of commands) {
    const { seen, exited } = start(args);
    const [code] = await exited;
    assert.equal(code, 1, args.join(" "));
    assert.equal(seen.err, `seqserve: DEVICE=${device}: ${fault?.line}\n`);
    assert.equal(seen.out, "");
  }
});

test(
  "DEVICE=auto without CUDA: one log line, /info, /health/ready and a metric",
  { skip: fault === null },
  async () => {
    const { child, seen, exited } = start(["--models-dir", "models", "--port", "0", "--log-format", "json"]);
    while (!seen.out.includes('"ready"')) await once(child.stdout, "data");
    const [url] = /http:\/\/[\d.:]+/u.exec(seen.out) ?? [];
    const lines = seen.out.split("\n").filter((line) => line.includes("no CUDA"));
    assert.equal(lines.length, 1, "once, for all models");
    assert.equal((JSON.parse(lines[0] ?? "") as { reason: string }).reason, fault?.reason);
    const body = async (path: string) => (await (await fetch(`${url}${path}`)).json()) as Record<string, unknown>;
    const { device } = await body("/health/ready");
    assert.deepEqual((await body("/info"))["device"], device);
    assert.deepEqual(
      [(device as { name: string }).name, (device as { reason: string }).reason],
      ["cpu", fault?.reason],
    );
    const { models } = (await body("/models")) as { models: { device: string }[] };
    assert.deepEqual([...new Set(models.map((model) => model.device))], ["cpu"]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.ok(metrics.includes(`seqserve_device_info{device="cpu",reason="${fault?.reason}"} 1\n`));
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null], seen.err);
  },
);

test("SIGTERM ends the process with code 0, idle and silent connections or not", { timeout: 40_000 }, async () => {
  const { child, seen, exited } = start(["--models-dir", empty, "--port", "0", "--log-format", "text"]);
  while (!seen.out.includes("listens")) await once(child.stdout, "data");
  const [url = ""] = /http:\/\/[\d.:]+/u.exec(seen.out) ?? [];
  const [idle, silent] = [1, 2].map(() => connect(Number(new URL(url).port), "127.0.0.1"));
  await once(silent!, "connect");
  idle!.write("GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n");
  assert.match(String((await once(idle!, "data"))[0]), /^HTTP\/1.1 200 /u);
  assert.equal(
    (
      await fetch(`${url}/generate`, {
        method: "POST",
        body: '{"inputs":"x"}',
        headers: { "content-type": "application/json" },
      })
    ).status >= 400,
    true,
  );
  child.kill("SIGTERM");
  // An idle connection would hold it for 72 s, one that never sent a request for a minute or more.
  assert.deepEqual(await exited, [0, null], seen.err);
  assert.match(seen.out, /shutting down signal=SIGTERM/u);
});

test("SIGTERM lets running streams finish before the process ends with code 0", async () => {
  const { child, seen, exited } = start([
    "--models-dir",
    "models",
    "--model",
    "itn-en",
    "--port",
    "0",
    "--log-format",
    "text",
  ]);
  while (!seen.out.includes("listens")) await once(child.stdout, "data");
  const [url] = /http:\/\/[\d.:]+/u.exec(seen.out) ?? [];
  const body = JSON.stringify({
    inputs: "twenty five dollars",
    stream: true,
    parameters: { min_new_tokens: 80, max_new_tokens: 100 },
  });
  const send = () =>
    fetch(`${url}/generate`, { method: "POST", headers: { "content-type": "application/json" }, body });
  const streams = await Promise.all(Array.from({ length: 10 }, send));
  child.kill("SIGTERM");
  for (const stream of streams) {
    const last = wireEvents(await stream.text()).at(-1);
    assert.equal(last?.event, "end", JSON.stringify(last));
  }
  assert.deepEqual(await exited, [0, null], seen.err);
});
