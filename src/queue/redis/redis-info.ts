// What Redis' INFO says, as numbers for metrics. Pure.
import type { RedisLevel } from "../../telemetry/scale-out-metrics.js";

/** Fields that a Redis (or one of its kin) does not have count as 0, and as nothing wrong. */
export function readRedisInfo(info: string): RedisLevel {
  const fields = new Map(
    info.split("\r\n").flatMap((line): [string, string][] => {
      const colon = line.indexOf(":");
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
  const number = (name: string): number => {
    const value = Number(fields.get(name));
    return Number.isFinite(value) ? value : 0;
  };
  return {
    memoryBytes: number("used_memory"),
    memoryLimitBytes: number("maxmemory"),
    evictedKeys: number("evicted_keys"),
    clients: number("connected_clients"),
    commands: number("total_commands_processed"),
    canWriteAof: (fields.get("aof_last_write_status") ?? "ok") === "ok",
  };
}
