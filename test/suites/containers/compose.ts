// `npm run suite -- compose`: podman-compose brings docker-compose.yml up with Redis, API node, worker, server and Prometheus in real containers; a request goes through, and
// all is stopped with the file's own signal and grace in the middle of a stream.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../support/servers/redis.js";
import { generateJson } from "../../../bench/tools/sse-client.js";
import { inBox, run, tried } from "./box.js";
import { composeFile } from "./compose-file.js";
import { buildImage, imageName, stop, streamThrough, untilItSays, untilHealthy } from "./image.js";
import { standInForPrometheus, standInForValkey } from "./stand-ins.js";

const project = "seqserve-test";
const services = ["redis", "server", "api", "worker", "prometheus"];
const composeVersion = "1.6.0";

// Grafana is no package of Debian, npm or PyPI: it is left out.
async function main(): Promise<void> {
  buildImage();
  const { services: described } = composeFile();
  standInForPrometheus(described["prometheus"]?.image ?? "");
  standInForValkey(described["redis"]?.image ?? "");
  const ports = { server: await freePort(), api: await freePort(), prometheus: await freePort() };
  const compose = podmanCompose({
    COMPOSE_PROFILES: "cpu,scale,observability",
    SEQSERVE_IMAGE: imageName,
    SEQSERVE_CPUS: "1",
    SEQSERVE_PORT: String(ports.server),
    SEQSERVE_API_PORTS: String(ports.api),
    PROMETHEUS_PORT: String(ports.prometheus),
    REDIS_PASSWORD: randomBytes(12).toString("hex"),
  });
  try {
    compose("up", "--detach", "--no-build", "--scale", "worker=2", ...services);
    await answers(ports);
    await stops(compose, ports.api);
  } finally {
    // `down` of podman-compose overlooks what --scale added.
    for (const { name } of containersOf()) tried("podman", ["rm", "--force", "--volumes", name]);
    compose("down", "--volumes");
  }
  process.stdout.write("all is well\n");
}

/** Its output comes as it is; a failure throws. */
function podmanCompose(env: Readonly<Record<string, string>>): (...args: string[]) => string {
  const python = inBox("venv");
  const command = `${python}/bin/podman-compose`;
  if (!existsSync(command)) {
    run("python3", ["-m", "venv", python]);
    run(`${python}/bin/pip`, ["install", "--quiet", `podman-compose==${composeVersion}`]);
  }
  return (...args) => run(command, ["--project-name", project, ...args], env);
}

interface Ports {
  readonly server: number;
  readonly api: number;
  readonly prometheus: number;
}

async function answers({ server, api, prometheus }: Ports): Promise<void> {
  const containers = containersOf();
  assert.deepEqual(containers.map(({ service }) => service).sort(), [...services, "worker"].sort());
  for (const { name } of containers) await untilHealthy(name);
  process.stdout.write(`healthy by their own checks: ${containers.map(({ name }) => name).join(", ")}\n`);

  for (const { name } of containers.filter(({ service }) => /server|worker/u.test(service))) {
    assert.match(
      tried("podman", ["logs", name]).said,
      /rewritten for rows of any age/u,
      `${name} keeps compiled graphs`,
    );
  }
  for (const port of [server, api]) {
    const answer = await generateJson(`http://127.0.0.1:${port}`, { inputs: "knights", model: "g2p-en" });
    assert.equal(answer["generated_text"], "N AY1 T S");
  }
  const keys = inside("redis", 'REDISCLI_AUTH="$REDIS_PASSWORD" valkey-cli --scan --pattern "seqserve:*"');
  assert.match(keys, /^seqserve:/mu, "the API node's answer went through Redis");
  assert.match(inside("redis", "valkey-cli ping"), /NOAUTH/u, "nobody gets in without the password");
  assert.match(inside("redis", "cat /proc/1/cmdline"), /^(?!.*requirepass).*valkey-server/su);

  const targets = await untilAllUp(prometheus, services.length);
  process.stdout.write(`Prometheus has up: ${targets.join(", ")}\n`);
}

async function stops(compose: (...args: string[]) => string, api: number): Promise<void> {
  const names = containersOf().map(({ name }) => name);
  // One worker stays: what still waits in Redis needs somebody to run it.
  const drained = names.filter((name) => /api_1|worker_1/u.test(name));
  assert.equal(drained.length, 2);
  const grace = Number.parseInt(composeFile().services["worker"]?.stop_grace_period ?? "", 10);
  let stopped: Promise<unknown> = Promise.resolve();
  const { events, eventsAfter } = await streamThrough(`http://127.0.0.1:${api}`, async () => {
    stopped = stop(grace, ...drained);
    for (const name of drained) await untilItSays(name, "shutting down");
  });
  assert.ok(eventsAfter > 0, "it came in the middle");
  process.stdout.write(`SIGTERM with ${eventsAfter} of ${events} events to come: all told\n`);
  await stopped;
  compose("stop");
  for (const name of names) {
    const code = run("podman", ["inspect", "--format", "{{.State.ExitCode}}", name]);
    process.stdout.write(`${name}: exit code ${code}\n`);
    assert.equal(code, "0", name);
  }
}

interface Container {
  readonly name: string;
  readonly service: string;
}

function containersOf(): Container[] {
  const format = '{{.Names}}\t{{index .Labels "com.docker.compose.service"}}';
  const filter = `label=com.docker.compose.project=${project}`;
  const rows = run("podman", ["ps", "--all", "--filter", filter, "--format", format]).split("\n");
  return rows.map((row) => row.split("\t")).map(([name = "", service = ""]) => ({ name, service }));
}

function inside(service: string, script: string): string {
  const name = containersOf().find((container) => container.service === service)?.name ?? "";
  return tried("podman", ["exec", name, "sh", "-c", script]).said;
}

interface Target {
  readonly health: string;
  readonly scrapeUrl: string;
  readonly lastError: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Two workers, one of each other service that has metrics, and Prometheus itself: as many as `count`. */
async function untilAllUp(port: number, count: number): Promise<string[]> {
  let seen: Target[] = [];
  for (let tries = 0; tries < 120; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/targets?state=active`);
    const { data } = (await answer.json()) as { data: { activeTargets: Target[] } };
    seen = data.activeTargets;
    if (seen.length >= count && seen.every(({ health }) => health === "up")) {
      return seen.map(({ labels, scrapeUrl }) => `${labels["service"] ?? labels["job"]} ${scrapeUrl}`);
    }
    await sleep(1000);
  }
  throw new Error(`not all up: ${JSON.stringify(seen.map(({ scrapeUrl, lastError }) => [scrapeUrl, lastError]))}`);
}

await main();
