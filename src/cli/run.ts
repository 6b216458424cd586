// The commands that serve nobody: each does its work and tells its exit code. A thrown Error becomes one line and exit code 1 in server.ts.
import type { OfflineCommand } from "../config/config.js";
import { ReaderLeft } from "./terminal.js";

/** The exit code. */
export async function run(command: OfflineCommand): Promise<number> {
  try {
    return await runner(command);
  } catch (error) {
    if (error instanceof ReaderLeft) return 0;
    throw error;
  }
}

/** Each is loaded when it is wanted: `check` needs no Hub, `pull` no ONNX Runtime. */
async function runner(command: OfflineCommand): Promise<number> {
  switch (command.kind) {
    case "generate":
      return (await import("./generate.js")).generate(command);
    case "check":
      return (await import("./check.js")).check(command);
    case "pull":
      return (await import("./pull.js")).pull(command);
    default:
      throw new Error(`no such command: ${String(command satisfies never)}`);
  }
}
