// DEVICE: what is missing for CUDA is named in one line, auto falls back once. Every path that a machine without a GPU can walk.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { chooseDevice, type Machine } from "../../../../src/inference/device/choose-device.js";
import { cudaFault, trialFault } from "../../../../src/inference/device/cuda-fault.js";
import { cudaParts, type CudaParts } from "../../../../src/inference/device/cuda-parts.js";
import { neededLibraries } from "../../../../src/inference/device/needed-libraries.js";
import { tryDevice } from "../../../../src/inference/host/engine-host.js";
import { writeSharedObject } from "../../../support/models/elf.js";

const work = mkdtempSync(join(tmpdir(), "seqserve-cuda-"));
after(() => rmSync(work, { recursive: true }));

const complete: CudaParts = {
  platform: "linux",
  arch: "x64",
  runtimeFolder: "/runtime",
  missingFiles: [],
  missingLibraries: [],
  brokenLibraries: [],
  hasDriver: true,
  devices: 1,
};
const provider = "libonnxruntime_providers_cuda.so";

function machine(parts: Partial<CudaParts>, trial: string | null = null): Machine & { tried: string[] } {
  const tried: string[] = [];
  const attempt = async (device: string) => {
    tried.push(device);
    return trial;
  };
  return { tried, parts: () => ({ ...complete, ...parts }), tryDevice: attempt };
}

/** A folder as ONNX Runtime's, whose provider needs these libraries, and a folder as /dev. */
function places(needed: readonly string[] | null, devices: readonly string[] = ["nvidia0"]) {
  const folder = mkdtempSync(join(work, "x-"));
  const [runtimeFolder, deviceFolder] = [join(folder, "x64"), join(folder, "dev")];
  mkdirSync(runtimeFolder);
  mkdirSync(deviceFolder);
  if (needed !== null) {
    writeSharedObject(join(runtimeFolder, provider), needed);
    writeSharedObject(join(runtimeFolder, "libonnxruntime_providers_shared.so"), []);
  }
  for (const name of devices) writeFileSync(join(deviceFolder, name), "");
  return { platform: "linux", arch: "x64", runtimeFolder, deviceFolder };
}

test("what is missing is named, one line each, the hardware first", () => {
  const cases: [Partial<CudaParts>, number, string, RegExp][] = [
    [
      { platform: "darwin", arch: "arm64" },
      0,
      "platform",
      /^onnxruntime-node has CUDA on linux x64 only, .*darwin arm64$/u,
    ],
    [{ platform: "linux", arch: "arm64" }, 0, "platform", /linux arm64$/u],
    [{ platform: "win32" }, 0, "platform", /win32 x64$/u],
    [{ devices: 0 }, 0, "device", /^no NVIDIA device is here \(no \/dev\/nvidia0; a container needs --gpus\)$/u],
    [{ devices: 2 }, 2, "device", /^there is no CUDA device 2: found 2, numbered from 0$/u],
    [{ hasDriver: false }, 0, "driver", /^the NVIDIA driver is missing \(libcuda\.so\.1 is not found\)$/u],
    [
      { missingFiles: [provider] },
      0,
      "package",
      /\(libonnxruntime_providers_cuda\.so is not in \/runtime\): ONNXRUNTIME_NODE_INSTALL=true npm rebuild onnxruntime-node$/u,
    ],
    [
      { missingFiles: [provider], runtimeFolder: "/srv/app/node_modules/onnxruntime-node/bin/x64" },
      0,
      "package",
      // Whoever asks /health need not know where on the machine it lies.
      / is not in node_modules\/onnxruntime-node\/bin\/x64\)/u,
    ],
    [
      { missingLibraries: ["libcublas.so.13", "libcudart.so.13"] },
      0,
      "libraries",
      /^the loader does not find libcublas\.so\.13, libcudart\.so\.13 \(see LD_LIBRARY_PATH\)$/u,
    ],
    [
      { brokenLibraries: ["libcublas.so.13: invalid ELF header"] },
      0,
      "libraries",
      /^libcublas\.so\.13: invalid ELF header$/u,
    ],
    [
      { devices: 0, hasDriver: false, missingLibraries: ["libcudart.so.13"] },
      0,
      "device",
      /^no NVIDIA device .*; the NVIDIA driver .*; the loader does not find libcudart\.so\.13/u,
    ],
  ];
  for (const [parts, index, reason, line] of cases) {
    const fault = cudaFault({ ...complete, ...parts }, index);
    assert.equal(fault?.reason, reason);
    assert.match(fault.line, line);
    assert.doesNotMatch(fault.line, /\n/u);
  }
  assert.equal(cudaFault(complete, 0), null);
  assert.equal(cudaFault({ ...complete, devices: null }, 7), null, "WSL: only a trial tells");
});

test("CUDA's own errors come as their number, meaning and what helps", () => {
  // As ONNX Runtime 1.30 says it, with a driver of 550 under libraries of CUDA 13.
  const words = `/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, Status> onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true] /onnxruntime_src/cuda_call.cc:146 CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/cuda_execution_provider.cc ; line=345 ; expr=cudaSetDevice(info_.device_id); \n\n`;
  const { reason, line } = trialFault(words);
  assert.equal(reason, "trial");
  assert.equal(
    line,
    "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version (the driver is older than the CUDA libraries: update it, for CUDA 13 to 580 or newer)",
  );
  assert.match(trialFault("CUDA failure 101: invalid device ordinal ; GPU=3 ;").line, /CUDA_VISIBLE_DEVICES/u);
  assert.equal(trialFault("CUDA failure 719: odd ; GPU=0").line, "CUDA failure 719: odd");
  assert.equal(trialFault("no\n such  thing").line, "a session on it can't be opened: no such thing");
});

test("cpu looks at nothing; cuda stops with a line; auto takes the CPU and keeps the line", async () => {
  const untouched: Machine = { parts: () => assert.fail("looked"), tryDevice: () => assert.fail("tried") };
  assert.deepEqual(await chooseDevice("cpu", "auto", untouched), { device: "cpu", reason: "asked", why: null });
  const bare = machine({ hasDriver: false });
  await assert.rejects(chooseDevice("cuda:3", "auto", machine({})), {
    message: "DEVICE=cuda:3: there is no CUDA device 3: found 1, numbered from 0",
  });
  await assert.rejects(chooseDevice("cuda", "auto", bare), {
    message: "DEVICE=cuda: the NVIDIA driver is missing (libcuda.so.1 is not found)",
  });
  const why = "no CUDA: the NVIDIA driver is missing (libcuda.so.1 is not found)";
  assert.deepEqual(await chooseDevice("auto", "auto", bare), { device: "cpu", reason: "driver", why });
  assert.deepEqual(bare.tried, [], "what can't be there is not tried");
  const int8 = { device: "cpu", reason: "dtype", why: "no CUDA: DTYPE=int8 is made for CPUs" };
  assert.deepEqual(await chooseDevice("auto", "int8", untouched), int8);
});

test("where all parts are there a session is tried, once, on the device asked for", async () => {
  const two = machine({ devices: 2 });
  assert.deepEqual(await chooseDevice("cuda:1", "auto", two), { device: "cuda:1", reason: "asked", why: null });
  assert.deepEqual(await chooseDevice("auto", "auto", two), { device: "cuda:0", reason: "found", why: null });
  assert.deepEqual(two.tried, ["cuda:1", "cuda:0"]);
  const failing = machine({}, "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ;");
  const line =
    "CUDA failure 100: no CUDA-capable device is detected (the driver sees no device: see nvidia-smi and CUDA_VISIBLE_DEVICES)";
  await assert.rejects(chooseDevice("cuda", "auto", failing), { message: `DEVICE=cuda: ${line}` });
  assert.deepEqual(await chooseDevice("auto", "auto", failing), {
    device: "cpu",
    reason: "trial",
    why: `no CUDA: ${line}`,
  });
});

const isLinux = process.platform === "linux" && process.arch === "x64";
const linuxOnly = { skip: isLinux ? false : "shared objects of Linux on x64" };

test("the needed libraries of an ELF file are read as the loader reads them", linuxOnly, () => {
  const path = join(work, "some.so");
  writeSharedObject(path, ["libc.so.6", "libcudart.so.13"]);
  assert.deepEqual(neededLibraries(path), ["libc.so.6", "libcudart.so.13"]);
  const own = join(dirname(createRequire(import.meta.url).resolve("onnxruntime-node")), "../bin/napi-v6/linux/x64");
  assert.ok(neededLibraries(join(own, "onnxruntime_binding.node")).includes("libonnxruntime.so.1"));
  writeFileSync(path, "not at all");
  assert.throws(() => neededLibraries(path), /some\.so: expected a 64-bit ELF file$/u);
});

test("a package without the provider, libraries that are not there, devices that are", linuxOnly, () => {
  const bare = cudaParts(true, places(null));
  assert.deepEqual(bare.missingFiles, [provider, "libonnxruntime_providers_shared.so"]);
  assert.deepEqual([bare.missingLibraries, bare.devices], [[], 1]);
  const needed = ["libc.so.6", "libseqserve-one.so.13", "libcuda.so.1", "libseqserve-two.so.9"];
  const parts = cudaParts(true, places(needed, ["nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "null"]));
  assert.deepEqual(parts.missingFiles, []);
  assert.deepEqual(
    parts.missingLibraries,
    ["libseqserve-one.so.13", "libseqserve-two.so.9"],
    "the driver is told apart",
  );
  assert.equal(parts.devices, 2);
  assert.equal(cudaParts(true, places([], ["dxg"])).devices, null);
  const missing = cudaParts(true, { ...places([]), deviceFolder: join(work, "nowhere") });
  assert.equal(missing.devices, 0);
});

test("without a device auto does not ask the loader; DEVICE=cuda names all", linuxOnly, () => {
  const none = places(["libseqserve-one.so.13"], []);
  assert.deepEqual(cudaParts(false, none).missingLibraries, []);
  assert.deepEqual(cudaParts(true, none).missingLibraries, ["libseqserve-one.so.13"]);
  assert.deepEqual(cudaParts(false, places(["libseqserve-one.so.13"])).missingLibraries, ["libseqserve-one.so.13"]);
});

test(
  "what a needed library lacks in turn is named, and what is broken is said in the loader's words",
  linuxOnly,
  () => {
    const inner = places(["libseqserve-outer.so"]);
    const library = join(mkdtempSync(join(work, "l-")), "libseqserve-outer.so");
    writeSharedObject(library, ["libseqserve-inner.so.2"]);
    writeSharedObject(join(inner.runtimeFolder, provider), [library]);
    assert.deepEqual(cudaParts(true, inner).missingLibraries, ["libseqserve-inner.so.2"]);
    writeFileSync(library, "no library at all, and long enough to hold a header of sixty-four bytes");
    const broken = cudaParts(true, inner);
    assert.deepEqual(broken.missingLibraries, []);
    assert.match(broken.brokenLibraries.join(), /libseqserve-outer\.so: invalid ELF header/u);
  },
);

test("a session is really tried: it runs on the CPU; elsewhere ONNX Runtime's words come back", async () => {
  assert.equal(await tryDevice("cpu"), null);
  const own = cudaParts(true);
  if (cudaFault(own, 0) === null) return;
  assert.match((await tryDevice("cuda:0")) ?? "", /Failed to load shared library|CUDA failure|not enabled|cuda/iu);
});
