// What no schema knows of deploy/k8s: that its settings, probes, ports, times and metrics are this server's, and that every file is there and used.
// npm run suite -- k8s holds the built overlays against the schemas of Kubernetes and KEDA.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { readConfig, type Config } from "../../../src/config/config.js";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { settingNames } from "../../../src/config/settings.js";

const root = "deploy/k8s";
const closeSeconds = 20;

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
}
interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly env?: readonly Variable[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly securityContext?: unknown;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Pod {
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly containers: readonly Container[];
  readonly volumes?: readonly { readonly name: string }[];
}
interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly template?: {
      readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
      readonly spec: Pod;
    };
    readonly triggers?: readonly { readonly name: string; readonly metadata: Readonly<Record<string, string>> }[];
  };
}
interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly path?: string }[];
  readonly configMapGenerator?: readonly { readonly envs: readonly string[] }[];
  readonly secretGenerator?: readonly { readonly name: string; readonly literals: readonly string[] }[];
  readonly images?: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[];
}

const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const kustomizations = files
  .filter((file) => file.endsWith("/kustomization.yaml"))
  .map((file) => ({ folder: file.slice(0, -"/kustomization.yaml".length), what: read<Kustomization>(file) }));
const resources = files
  .filter((file) => file.endsWith(".yaml") && !file.endsWith("kustomization.yaml"))
  .flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJS() as Resource));
const common = Object.fromEntries(
  readFileSync(`${root}/base/settings.env`, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
);
const secret = kustomizations.flatMap(({ what }) => what.secretGenerator ?? []).flatMap(({ literals }) => literals);

function read<T>(file: string): T {
  return parse(readFileSync(file, "utf8")) as T;
}

function references({ folder, what }: (typeof kustomizations)[number]): string[] {
  const folders = [...(what.resources ?? []), ...(what.components ?? [])].map((path) => join(folder, path));
  const patches = (what.patches ?? []).flatMap(({ path }) => (path === undefined ? [] : [join(folder, path)]));
  const envs = (what.configMapGenerator ?? []).flatMap((map) => map.envs.map((path) => join(folder, path)));
  return [...folders, ...patches, ...envs];
}

function pods(kind: string): { name: string; pod: Pod; annotations: Readonly<Record<string, string>> }[] {
  return resources.flatMap(({ kind: its, metadata, spec }) => {
    if (its !== kind || spec?.template === undefined) return [];
    return [{ name: metadata.name, pod: spec.template.spec, annotations: spec.template.metadata?.annotations ?? {} }];
  });
}

// Patches are Deployments too: only whole ones say how long they may take.
const servers = pods("Deployment").filter(({ pod }) => pod.terminationGracePeriodSeconds !== undefined);

function containerOf(pod: Pod): Container {
  const [container] = pod.containers;
  assert.ok(container);
  return container;
}

function configOf({ env = [] }: Container): Config {
  const shown = env.map(({ name, value, valueFrom }) => [name, value ?? secretValue(valueFrom?.secretKeyRef.key)]);
  return readConfig([], { ...common, ...(Object.fromEntries(shown) as Record<string, string>) });
}

function secretValue(key = ""): string {
  return secret.find((literal) => literal.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
}

test("every file that a kustomization names is there, and every file is named by one", () => {
  const named = kustomizations.flatMap(references);
  assert.deepEqual(
    named.filter((path) => !existsSync(path)),
    [],
  );
  const isUsed = (file: string) => {
    const folder = file.slice(0, file.lastIndexOf("/"));
    return file.endsWith("/kustomization.yaml") ? named.includes(folder) : named.includes(file);
  };
  const isFirst = (file: string) => file.startsWith(`${root}/overlays/`) || file.startsWith(`${root}/jobs/`);
  assert.deepEqual(
    files.filter((file) => !isFirst(file) && !isUsed(file)),
    [],
  );
});

test("every variable is a setting, and the server starts with what its pod is given", () => {
  assert.deepEqual(servers.map(({ name }) => name).sort(), ["seqserve-api", "seqserve-worker"]);
  const ofServers = [...pods("Deployment"), ...pods("Job")].flatMap(({ pod }) =>
    pod.containers.flatMap(({ env = [] }) => env),
  );
  for (const name of [...Object.keys(common), ...ofServers.map((variable) => variable.name)]) {
    assert.ok(settingNames.includes(name), name);
  }
  for (const { name, pod } of servers) {
    const config = configOf(containerOf(pod));
    assert.equal(`seqserve-${config.role}`, name);
    assert.equal(config.host, "0.0.0.0");
  }
});

test("the Secret for trying has the keys that pods ask for", () => {
  const asked = [...servers, ...pods("StatefulSet")].flatMap(({ pod }) =>
    pod.containers.flatMap(({ env = [] }) => env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])),
  );
  const wanted = asked.filter((reference) => !("optional" in reference));
  assert.ok(wanted.length >= 4);
  for (const { name, key } of wanted) {
    assert.equal(name, "seqserve");
    assert.ok(
      secret.some((literal) => literal.startsWith(`${key}=`)),
      key,
    );
  }
});

test("Kubernetes waits longer than the server drains and closes", () => {
  for (const { name, pod } of servers) {
    const container = containerOf(pod);
    const preStop = container.lifecycle?.preStop.sleep.seconds ?? 0;
    const drained = preStop + configOf(container).drainTimeoutMs / 1000 + closeSeconds;
    assert.ok((pod.terminationGracePeriodSeconds ?? 0) > drained, name);
  }
});

test("probes ask for routes there are, on ports the server listens on", () => {
  const { paths } = read<{ paths: Record<string, object> }>("openapi.yaml");
  for (const { name, pod, annotations } of servers) {
    const container = containerOf(pod);
    const { port, metricsPort } = configOf(container);
    const ports = Object.fromEntries((container.ports ?? []).map((entry) => [entry.name, entry.containerPort]));
    assert.deepEqual(ports, { http: port, metrics: metricsPort }, name);
    assert.equal(annotations["prometheus.io/port"], String(metricsPort));
    const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe];
    assert.deepEqual(
      probes.map((probe) => probe?.httpGet),
      ["/health/live", "/health/live", "/health/ready"].map((path) => ({ path, port: "http" })),
    );
    for (const probe of probes) assert.ok("get" in (paths[probe?.httpGet?.path ?? ""] ?? {}), name);
  }
});

test("every pod runs as nobody in particular, on a root it can't write", () => {
  const all = [...servers, ...pods("StatefulSet"), ...pods("Job")];
  assert.equal(all.length, 4);
  for (const { name, pod } of all) {
    assert.equal(pod.automountServiceAccountToken, false, name);
    assert.equal(pod.enableServiceLinks, false, name);
    assert.equal(pod.securityContext?.["runAsNonRoot"], true, name);
    assert.deepEqual(pod.securityContext?.["seccompProfile"], { type: "RuntimeDefault" }, name);
    assert.deepEqual(
      containerOf(pod).securityContext,
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
      name,
    );
  }
});

test("the server writes only where a volume is mounted", () => {
  for (const { name, pod } of servers) {
    const container = containerOf(pod);
    const places = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
    assert.deepEqual(places.sort(), [configOf(container).cacheDir, "/tmp"].sort(), name);
  }
});

const noDockerfile = !existsSync("Dockerfile") && "no Dockerfile in this checkout";

test("pods run as the image's user, on its port, with its folders", { skip: noDockerfile }, () => {
  const dockerfile = readFileSync("Dockerfile", "utf8");
  for (const { name, pod } of servers) {
    const { port, cacheDir } = configOf(containerOf(pod));
    const { runAsUser, runAsGroup } = pod.securityContext ?? {};
    for (const line of [`USER ${String(runAsUser)}:${String(runAsGroup)}`, `EXPOSE ${port}`]) {
      assert.ok(dockerfile.split("\n").includes(line), `${name}: ${line}`);
    }
    assert.match(dockerfile, new RegExp(`^ENV .*\\bMODELS_DIR=/models\\b.*\\bCACHE_DIR=${cacheDir}$`, "mu"));
  }
});

test("the images are this version's", () => {
  const { version } = read<{ version: string }>("package.json");
  const images = kustomizations
    .flatMap(({ what }) => what.images ?? [])
    .filter(({ newName }) => newName === "seqserve");
  assert.deepEqual(images.map(({ name, newTag }) => [name, newTag]).sort(), [
    ["seqserve", version],
    ["seqserve-cuda", `${version}-cuda`],
  ]);
});

test("autoscaling asks for metrics that the server tells, and fills a worker's rows", async () => {
  const metrics = createMetrics("0", { runtime: false });
  const text = await metrics.text();
  metrics.close();
  const triggers = resources.flatMap(({ spec }) => spec?.triggers ?? []);
  assert.deepEqual(
    triggers.map(({ name }) => name),
    ["jobs", "wait"],
  );
  for (const { metadata } of triggers) {
    const [asked = ""] = /seqserve_\w+/u.exec(metadata["query"] ?? "") ?? [];
    assert.match(text, new RegExp(`^# TYPE ${asked.replace(/_bucket$/u, "")} `, "mu"));
  }
  const rows = Number(common["MAX_BATCH_ROWS"]);
  assert.equal(Number(triggers[0]?.metadata["threshold"]), (rows * 3) / 4);
});
