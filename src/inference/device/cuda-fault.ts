// Why CUDA can't be used, in one line that names all that is missing and what helps. Pure.
import { driverLibrary, type CudaParts } from "./cuda-parts.js";

/** The first thing that is wrong, as a label of metrics. */
export type CudaReason = "platform" | "device" | "driver" | "package" | "libraries" | "trial";

export interface CudaFault {
  readonly reason: CudaReason;
  readonly line: string;
}

/** null: all that can be looked at is there for device number `index`. */
export function cudaFault(parts: CudaParts, index: number): CudaFault | null {
  const { platform, arch } = parts;
  if (platform !== "linux" || arch !== "x64")
    return { reason: "platform", line: `onnxruntime-node has CUDA on linux x64 only, and this is ${platform} ${arch}` };
  const faults = [deviceFault(parts, index), driverFault(parts), packageFault(parts), libraryFault(parts)];
  const found = faults.filter((fault) => fault !== null);
  const [first] = found;
  return first === undefined ? null : { reason: first.reason, line: found.map(({ line }) => line).join("; ") };
}

/** What ONNX Runtime said when a session on the device was tried. */
export function trialFault(words: string): CudaFault {
  const [, code, meaning] = /CUDA failure (\d+): ([^;]+?) *;/u.exec(words) ?? [];
  if (code === undefined || meaning === undefined)
    return { reason: "trial", line: `a session on it can't be opened: ${words.replaceAll(/\s+/gu, " ").trim()}` };
  const advice = advices[code];
  return { reason: "trial", line: `CUDA failure ${code}: ${meaning}${advice === undefined ? "" : ` (${advice})`}` };
}

/** By CUDA's own number of an error. */
const advices: Readonly<Record<string, string>> = {
  2: "other processes may hold the device's memory",
  35: "the driver is older than the CUDA libraries: update it, for CUDA 13 to 580 or newer",
  100: "the driver sees no device: see nvidia-smi and CUDA_VISIBLE_DEVICES",
  101: "no device has that number: see nvidia-smi and CUDA_VISIBLE_DEVICES",
  209: "this ONNX Runtime has no code for this GPU",
  802: "the system's devices are not ready: see nvidia-smi",
};

function deviceFault({ devices }: CudaParts, index: number): CudaFault | null {
  if (devices === null || index < devices) return null;
  const line =
    devices === 0
      ? "no NVIDIA device is here (no /dev/nvidia0; a container needs --gpus)"
      : `there is no CUDA device ${index}: found ${devices}, numbered from 0`;
  return { reason: "device", line };
}

function driverFault({ hasDriver }: CudaParts): CudaFault | null {
  return hasDriver ? null : { reason: "driver", line: `the NVIDIA driver is missing (${driverLibrary} is not found)` };
}

function packageFault({ missingFiles, runtimeFolder }: CudaParts): CudaFault | null {
  if (missingFiles.length === 0) return null;
  const install = "ONNXRUNTIME_NODE_INSTALL=true npm rebuild onnxruntime-node";
  // /health shows this line to anybody: where the server lies is none of it.
  const folder = runtimeFolder.replace(/^.*(?=node_modules\/)/u, "");
  const files = `${missingFiles.join(" and ")} ${missingFiles.length === 1 ? "is" : "are"} not in ${folder}`;
  return { reason: "package", line: `onnxruntime-node was installed without CUDA (${files}): ${install}` };
}

function libraryFault({ missingLibraries, brokenLibraries }: CudaParts): CudaFault | null {
  const missing = [...new Set(missingLibraries)];
  if (missing.length + brokenLibraries.length === 0) return null;
  const absent = missing.length === 0 ? [] : [`the loader does not find ${missing.join(", ")} (see LD_LIBRARY_PATH)`];
  return { reason: "libraries", line: [...absent, ...brokenLibraries].join("; ") };
}
