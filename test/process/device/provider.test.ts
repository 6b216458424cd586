// A file in the place of ONNX Runtime's CUDA provider that is none, tried in a process of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { trialFault } from "../../../src/inference/device/cuda-fault.js";
import { writeSharedObject } from "../../support/models/elf.js";

const shippedGraph = new URL("../../../../models/g2p-en/encoder.onnx", import.meta.url).pathname;

test(
  "a provider that is none fails at the trial, and says so",
  { skip: process.platform === "linux" ? false : "shared objects of Linux" },
  async () => {
    // The package as installed, beside a provider that loads and holds nothing: what a broken or foreign file does.
    const root = mkdtempSync(join(tmpdir(), "seqserve-cuda-"));
    const require = createRequire(import.meta.url);
    const real = dirname(dirname(require.resolve("onnxruntime-node")));
    const copy = join(root, "node_modules/onnxruntime-node");
    cpSync(join(real, "dist"), join(copy, "dist"), { recursive: true });
    cpSync(join(real, "package.json"), join(copy, "package.json"));
    cpSync(join(real, "bin/napi-v6/linux/x64"), join(copy, "bin/napi-v6/linux/x64"), { recursive: true });
    symlinkSync(join(dirname(real), "onnxruntime-common"), join(root, "node_modules/onnxruntime-common"));
    for (const name of ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"])
      writeSharedObject(join(copy, "bin/napi-v6/linux/x64", name), []);
    const script = `const ort = require("onnxruntime-node"); ort.env.logLevel = "fatal";
    ort.InferenceSession.create(${JSON.stringify(shippedGraph)}, { executionProviders: [{ name: "cuda", deviceId: 0 }] })
      .then(() => console.log("opened"), (error) => console.log(error.message));`;
    writeFileSync(join(root, "run.cjs"), script);
    const said = await new Promise<string>((resolve) => {
      execFile(process.execPath, [join(root, "run.cjs")], (_error, out, err) => resolve(`${out}${err}`));
    });
    rmSync(root, { recursive: true });
    const fault = trialFault(said);
    assert.equal(fault.reason, "trial");
    assert.match(fault.line, /^a session on it can't be opened: \S/u);
    assert.doesNotMatch(fault.line, /opened: opened/u);
  },
);
