// Podman and buildah with a store and settings of their own below .cache/: no daemon, no registry, nothing of the machine's own containers. Linux, as root.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const boxFolder = resolve(".cache/containers");

const needed = ["buildah", "podman", "runc", "debootstrap", "iptables"];
const packages = [...needed, "netavark", "aardvark-dns"].join(" ");

/** Says what is missing, or makes the store. Call it first. */
export function openBox(): void {
  const missing = needed.filter((command) => spawnSync(command, ["--version"]).error !== undefined);
  if (missing.length > 0 || process.getuid?.() !== 0) {
    throw new Error(`needs root and ${missing.join(", ")}: apt-get install -y --no-install-recommends ${packages}`);
  }
  mkdirSync(boxFolder, { recursive: true });
  writeFileSync(settingsFile, settings);
  writeFileSync(storageFile, storage());
}

const settingsFile = join(boxFolder, "containers.conf");
const storageFile = join(boxFolder, "storage.conf");

// Podman's defaults ask for more than a container of one's own may have, and for systemd.
const settings = `[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
`;

// The vfs driver copies every layer whole, which takes minutes and gigabytes: only where there is nothing else.
function storage(): string {
  const driver = readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n") ? "overlay" : "vfs";
  const [graph, run] = [join(boxFolder, "store"), join(boxFolder, "run")];
  return `[storage]\ndriver = "${driver}"\ngraphroot = "${graph}"\nrunroot = "${run}"\n`;
}

// It complains of every health check that there is no systemd to run it.
const calm = ["--log-level", "fatal"];

/** What it wrote to standard output, trimmed. What it says otherwise is shown; another exit code than 0 throws. */
export function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const stdio: ["ignore", "pipe", "inherit"] = ["ignore", "pipe", "inherit"];
  const options = { env: { ...boxEnvironment(), ...env }, stdio, maxBuffer: 1 << 28 };
  return execFileSync(command, command === "podman" ? [...calm, ...args] : args, options)
    .toString()
    .trim();
}

/** The exit code and all it said. */
export function tried(
  command: string,
  args: readonly string[],
): { readonly code: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { env: boxEnvironment() });
  return { code: status, said: `${stdout.toString()}${stderr.toString()}` };
}

export function boxEnvironment(): Record<string, string | undefined> {
  return { ...process.env, CONTAINERS_CONF: settingsFile, CONTAINERS_STORAGE_CONF: storageFile };
}

export function hasImage(name: string): boolean {
  return tried("podman", ["image", "exists", name]).code === 0;
}

/** From a Containerfile as text; RUN lines see this machine's network. */
export function buildFrom(text: string, name: string): void {
  const folder = inBox("build");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "Containerfile"), text);
  run("buildah", ["build", ...buildOptions, "--tag", name, folder]);
}

/** chroot: a RUN line needs no container of its own. docker: the other format knows no HEALTHCHECK. */
export const buildOptions = ["--format", "docker", "--isolation", "chroot", "--network", "host", "--layers", "--quiet"];

export function inBox(...names: string[]): string {
  return join(boxFolder, ...names);
}
