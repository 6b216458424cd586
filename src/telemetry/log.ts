// The logger: pino's JSON lines, or the same lines for people on a terminal. Request bodies, texts and keys are never given to it.
import { pino, type DestinationStream, type Logger } from "pino";
import type { Config } from "../config/config.js";

export type { Logger } from "pino";

interface Terminal extends DestinationStream {
  readonly isTTY?: boolean;
}

/** Whether lines (and the banner) are for people. */
export function isForPeople(config: Pick<Config, "logFormat">, out: Terminal): boolean {
  return config.logFormat === "text" || (config.logFormat === "auto" && out.isTTY === true);
}

export function createLog(config: Pick<Config, "logFormat" | "logLevel">, out: Terminal): Logger {
  const options = { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!isForPeople(config, out)) return pino(options, out);
  return pino(options, { write: (line) => out.write(formatForPeople(line)) });
}

// {"level":30,"time":"…T10:11:12.345Z","status":200,"msg":"answered"} → 10:11:12.345 info  answered status=200
function formatForPeople(line: string): string {
  const { level, time, msg = "", err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const label = pino.levels.labels[Number(level)] ?? "";
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const stack = (err as { stack?: string } | undefined)?.stack;
  return `${String(time).slice(11, 23)} ${label.padEnd(5)} ${String(msg)}${rest.join("")}${stack === undefined ? "" : `\n${stack}`}\n`;
}
