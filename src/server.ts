// The process: reads the command line and loads only what the command needs, so that --help and a wrong setting cost nothing.
import { helpPage } from "./config/command-line.js";
import { ConfigError, readCommand, disableOrtTelemetry, type OfflineCommand } from "./config/config.js";
import { version } from "./version.js";

async function main(): Promise<void> {
  disableOrtTelemetry();
  const command = readCommand();
  switch (command.kind) {
    case "version":
      return void process.stdout.write(`${version}\n`);
    case "help":
      return void process.stdout.write(helpPage(command.of));
    case "serve":
      return (await import("./cli/serve.js")).serve(command.config);
    default:
      process.exitCode = await runOffline(command);
  }
}

/** Runs a command that serves nobody; its exit code. */
async function runOffline(command: OfflineCommand): Promise<number> {
  const { ReaderLeft } = await import("./cli/terminal.js");
  try {
    return await runCommand(command);
  } catch (error) {
    if (error instanceof ReaderLeft) return 0;
    throw error;
  }
}

async function runCommand(command: OfflineCommand): Promise<number> {
  switch (command.kind) {
    case "generate":
      return (await import("./cli/generate.js")).generate(command);
    case "check":
      return (await import("./cli/check.js")).check(command);
    case "pull":
      return (await import("./cli/pull.js")).pull(command);
    default:
      throw new Error(`no such command: ${String(command satisfies never)}`);
  }
}

// One line and exit code 1 for what a person can change (a setting, a folder, a port); a stack for a bug.
function refuse(error: unknown): void {
  const isProblem = error instanceof ConfigError || (error instanceof Error && error.constructor === Error);
  const text = error instanceof Error ? ((isProblem ? null : error.stack) ?? error.message) : String(error);
  process.stderr.write(`seqserve: ${text}\n`);
  process.exit(1);
}

try {
  await main();
} catch (error) {
  refuse(error);
}
