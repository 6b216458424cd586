// What a device changes about precision: which files it prefers, whether int8 is made for it, how close compiled graphs must come to the stock ones.
// Pure, and the only place that decides this by device. Buffers are the same everywhere: caches are the host's, in float32, also beside half-precision files.

export function isCuda(device: string): boolean {
  return device.startsWith("cuda");
}

/** Suffix of the files that DTYPE=auto takes first; "" are the exact ones. A GPU is fast in half precision. */
export function preferredSuffix(device: string): "" | "_fp16" {
  return isCuda(device) ? "_fp16" : "";
}

/** What a manifest prefers, where the device suits it: int8 is for CPUs. */
export function preferredDtype(preference: string | undefined, device: string): string {
  return preference === undefined || (preference === "int8" && isCuda(device)) ? "auto" : preference;
}

/** Why int8 can't be made for the device; null: it can. */
export function int8Fault(device: string): string | null {
  return isCuda(device)
    ? `int8 is made for CPUs (CUDA has no kernel for its products): on ${device} take auto, fp16 or fp32`
    : null;
}
