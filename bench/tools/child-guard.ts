// Ends child processes when this process ends, however it ends (a kill -9 too): tests and benches leave no server behind.
import { spawn, type ChildProcess } from "node:child_process";
import type { Writable } from "node:stream";

// Reads "+ pid" and "- pid". Its input ends with the process that writes it; then it kills those that are left. A negative number is a process group.
const watch = `trap '' INT TERM HUP
while read -r sign pid; do
  if [ "$sign" = + ]; then pids="$pids $pid "; else pids="\${pids%% $pid *} \${pids#* $pid }"; fi
done
[ -z "$pids" ] || kill -9 $pids`;

let input: Writable | null = null;

function watcherInput(): Writable {
  if (input !== null) return input;
  // In a session of its own: what ends this process's group does not reach it.
  const watcher = spawn("sh", ["-c", watch], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  watcher.on("error", () => undefined).unref();
  input = watcher.stdin.on("error", () => undefined);
  (watcher.stdin as Writable & { unref?: () => void }).unref?.();
  return input;
}

/** Guards a child that was just started; returns it. `isGroup`: it was started detached, and all that it starts ends with it. */
export function guarded<Child extends ChildProcess>(child: Child, isGroup = false): Child {
  if (child.pid === undefined) return child;
  const id = isGroup ? -child.pid : child.pid;
  watcherInput().write(`+ ${id}\n`);
  // A group may outlive its first process.
  if (!isGroup) child.once("exit", () => watcherInput().write(`- ${id}\n`));
  return child;
}
