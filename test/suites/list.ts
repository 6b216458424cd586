// The suites of `npm run suite`.

export interface Suite {
  readonly name: string;
  /** Below dist/. */
  readonly file: string;
  readonly does: string;
  readonly needs: string;
  /** On two cores; environments of Python take some more the first time. */
  readonly minutes: string;
}

const python = "Python, PyPI";

export const suites: readonly Suite[] = [
  {
    name: "python",
    file: "test/suites/python/run.js",
    does: "Python's client libraries and the docs' Python examples against the server",
    needs: python,
    minutes: "2",
  },
  {
    name: "openapi",
    file: "test/suites/openapi/run.js",
    does: "Schemathesis draws some 10,000 requests from openapi.yaml and judges the answers",
    needs: python,
    minutes: "3",
  },
  {
    name: "k8s",
    file: "test/suites/k8s/run.js",
    does: "deploy/k8s, built and held against the schemas of Kubernetes and KEDA",
    needs: python,
    minutes: "1",
  },
  {
    name: "node",
    file: "test/suites/node/run.js",
    does: "tests on another Node: node 24 [--all | --rest | test/path …]",
    needs: "npm's registry",
    minutes: "2, with --all 6",
  },
  {
    name: "image",
    file: "test/suites/containers/image.js",
    does: "the Dockerfile built and run, hardened; --pull takes the real base image",
    needs: "Linux, root, buildah, podman",
    minutes: "5",
  },
  {
    name: "compose",
    file: "test/suites/containers/compose.js",
    does: "docker-compose.yml in real containers, a request through all of them",
    needs: "Linux, root, buildah, podman, podman-compose",
    minutes: "5",
  },
  {
    name: "traces",
    file: "test/suites/traces/collector.js",
    does: "a request's spans in a real collector (Arize Phoenix)",
    needs: `${python}, redis-server`,
    minutes: "1",
  },
  {
    name: "monitoring",
    file: "test/suites/monitoring/run.js",
    does: "dashboards, rules and every alert in a real Prometheus",
    needs: "prometheus, redis-server",
    minutes: "9",
  },
  {
    name: "chaos",
    file: "test/suites/chaos/run.js",
    does: "a cluster disturbed at length: kill | recovery | pause | redis | rolling | handoff | overload [count]",
    needs: "redis-server",
    minutes: "1 to 20",
  },
  {
    name: "evaluate",
    file: "bench/evaluate.js",
    does: "a shipped model's error rates through the server: g2p-en | itn-en [--dtype fp32] [--url …]",
    needs: "nothing",
    minutes: "3",
  },
  {
    name: "pictures",
    file: "bench/pictures.js",
    does: "docs/pictures/ of the page",
    needs: "Chromium",
    minutes: "1",
  },
  {
    name: "monitoring-pictures",
    file: "test/suites/monitoring/pictures.js",
    does: "docs/pictures/ of the dashboards",
    needs: "Chromium, prometheus, redis-server",
    minutes: "5",
  },
];

export function suiteTable(): string {
  const rows = [
    ["suite", "minutes", "needs", "what it does"],
    ...suites.map((one) => [one.name, one.minutes, one.needs, one.does]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return ["usage: npm run suite -- <name> [arguments]", "", ...lines].join("\n");
}
