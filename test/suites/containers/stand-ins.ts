// Images in place of those that a registry would give: Debian by debootstrap, the same Node by npm, Prometheus and Valkey by Debian's packages, under the names that
// Dockerfile and docker-compose.yml call them by. They are kept in the box's store.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { boxFolder, buildFrom, hasImage, inBox, run } from "./box.js";

/** Of the Dockerfile's first ARG. */
export function nodeImageName(dockerfile = readFileSync("Dockerfile", "utf8")): string {
  return /^ARG NODE_IMAGE=(\S+)$/mu.exec(dockerfile)?.[1] ?? "";
}

const npmVersion = "11.21.2";

/** Debian as small as it gets, with the Node of the Dockerfile's tag, and npm. */
export function standInForNode(): void {
  const name = nodeImageName();
  if (hasImage(name)) return;
  const root = inBox("root");
  debian(root);
  const version = /:(\d+\.\d+\.\d+)-/u.exec(name)?.[1] ?? "";
  unpack(`node-linux-${process.arch}@${version}`, "package/bin/node", join(root, "usr/local"), 1);
  const modules = join(root, "usr/local/lib/node_modules");
  unpack(`npm@${npmVersion}`, "package", join(modules, "npm"), 1);
  for (const command of ["npm", "npx"]) {
    symlinkSync(`../lib/node_modules/npm/bin/${command}-cli.js`, join(root, "usr/local/bin", command));
  }
  const trusting = trust(root);
  const container = run("buildah", ["from", "scratch"]);
  run("buildah", ["add", "--quiet", container, root, "/"]);
  run("buildah", ["config", ...trusting, "--env", `PATH=${path}`, container]);
  run("buildah", ["commit", "--quiet", "--disable-compression", container, name]);
  run("buildah", ["rm", container]);
  rmSync(root, { recursive: true });
}

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function debian(root: string): void {
  rmSync(root, { recursive: true, force: true });
  const options = ["--variant=minbase", "--include=ca-certificates", "bookworm", root];
  run("debootstrap", options);
  for (const folder of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]) {
    rmSync(join(root, folder), { recursive: true });
    mkdirSync(join(root, folder));
  }
}

function unpack(npmPackage: string, member: string, folder: string, strip: number): void {
  mkdirSync(folder, { recursive: true });
  const file = run("npm", ["pack", "--silent", "--pack-destination", boxFolder, npmPackage]);
  execFileSync("tar", ["-xzf", join(boxFolder, file), "-C", folder, `--strip-components=${strip}`, member]);
  rmSync(join(boxFolder, file));
}

// Where this machine's way out has a certificate of its own, the builds' has it too.
function trust(root: string): string[] {
  const bundle = process.env["NODE_EXTRA_CA_CERTS"];
  const inside = "/etc/ssl/certs/ca-certificates.crt";
  if (bundle === undefined || !existsSync(bundle)) return [];
  cpSync(bundle, join(root, inside));
  return ["--env", `NODE_EXTRA_CA_CERTS=${inside}`];
}

/** As the official image: same user, entry point, volume and wget. */
export function standInForPrometheus(name: string): void {
  if (hasImage(name)) return;
  const text = `FROM ${nodeImageName()}
RUN apt-get update && apt-get install -y --no-install-recommends prometheus busybox
RUN ln -s busybox /usr/bin/wget && install -d -o 65534 -g 65534 /prometheus
WORKDIR /prometheus
USER 65534
VOLUME ["/prometheus"]
ENTRYPOINT ["prometheus"]
`;
  buildFrom(text, name);
}

/** Debian 12 has Valkey 8.0 in its backports. */
export function standInForValkey(name: string): void {
  if (hasImage(name)) return;
  const text = `FROM ${nodeImageName()}
RUN sed -n "s/ bookworm / bookworm-backports /p" /etc/apt/sources.list > /etc/apt/sources.list.d/backports.list
RUN apt-get update && apt-get install -y --no-install-recommends --target-release bookworm-backports valkey-server
RUN install -d -o 999 -g 1000 /data
VOLUME ["/data"]
`;
  buildFrom(text, name);
}
