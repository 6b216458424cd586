// On which device this process runs its models: decided once, before any is loaded. DEVICE=cuda must work or says why not; auto takes the CPU then.
//
//   cpu ─▶ cpu      auto, cuda[:n] ─▶ all parts there? ─▶ a session opens and runs? ─▶ cuda:n       no: auto ─▶ cpu, with the reason; cuda ─▶ throws
import { tryDevice } from "../host/engine-host.js";
import { cudaFault, trialFault, type CudaFault, type CudaReason } from "./cuda-fault.js";
import { cudaParts, type CudaParts } from "./cuda-parts.js";

export interface ChosenDevice {
  /** "cpu" or "cuda:<number>" */
  readonly device: string;
  /** asked: DEVICE names it. found: auto found CUDA. dtype: auto took what DTYPE is made for. Else what auto did not get. */
  readonly reason: "asked" | "found" | "dtype" | CudaReason;
  /** One line: why auto took the CPU. */
  readonly why: string | null;
}

/** How a machine is looked at; tests put their own in. */
export interface Machine {
  readonly parts: (looksFurther: boolean) => CudaParts;
  /** ONNX Runtime's words when a session on the device can't be opened or run. */
  readonly tryDevice: (device: string) => Promise<string | null>;
}

const thisMachine: Machine = { parts: cudaParts, tryDevice };

/** Throws one line that names what is missing when DEVICE=cuda can't be had. */
export async function chooseDevice(
  setting: string,
  dtype: string,
  machine: Machine = thisMachine,
): Promise<ChosenDevice> {
  if (setting === "cpu") return { device: "cpu", reason: "asked", why: null };
  if (setting === "auto" && dtype === "int8")
    return { device: "cpu", reason: "dtype", why: "no CUDA: DTYPE=int8 is made for CPUs" };
  const index = Number(setting.split(":")[1] ?? 0);
  const device = `cuda:${index}`;
  const parts = machine.parts(setting !== "auto");
  const fault = cudaFault(parts, index) ?? (await runTrial(device, machine));
  if (setting === "auto")
    return fault === null
      ? { device, reason: "found", why: null }
      : { device: "cpu", reason: fault.reason, why: `no CUDA: ${fault.line}` };
  if (fault !== null) throw new Error(`DEVICE=${setting}: ${fault.line}`);
  return { device, reason: "asked", why: null };
}

async function runTrial(device: string, machine: Machine): Promise<CudaFault | null> {
  const words = await machine.tryDevice(device);
  return words === null ? null : trialFault(words);
}
