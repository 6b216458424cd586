// How many CPUs this process may use: the cgroup's quota where there is one (containers), else what the scheduler allows.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Whole CPUs, at least 1. A quota of 1.5 counts as 1: threads beyond the quota are only throttled. */
export function cpuLimit(read: (path: string) => string | null = readText): number {
  const quota = cgroupV2(read) ?? cgroupV1(read) ?? Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(availableParallelism(), Math.floor(quota)));
}

function cgroupV2(read: (path: string) => string | null): number | null {
  const [quota, period] = (read("/sys/fs/cgroup/cpu.max") ?? "").trim().split(" ");
  return quotaCpus(quota, period);
}

function cgroupV1(read: (path: string) => string | null): number | null {
  const quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") ?? undefined;
  const period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") ?? undefined;
  return quotaCpus(quota, period);
}

function quotaCpus(quota: string | undefined, period: string | undefined): number | null {
  const value = Number(quota) / Number(period);
  return Number.isFinite(value) && value > 0 ? value : null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
