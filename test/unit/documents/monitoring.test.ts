// Dashboards, rules and runbook agree with each other and with what the server exposes. Needs no Prometheus; `npm run suite -- monitoring` runs a real one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { dashboards, panelsOf, substituted } from "../../suites/monitoring/dashboards.js";
import { leftSides, rules } from "../../suites/monitoring/rules.js";

const uid = "seqserve-prometheus";
const all = dashboards();
const { alerts, recordings } = rules();

/** Made by Prometheus itself. */
const ownOfPrometheus = ["up", "ALERTS", "scrape_duration_seconds"];
const notMetrics = new Set(["and", "or", "unless", "by", "on", "ignoring", "group_left", "bool"]);

/** Metrics that a PromQL expression names. */
function metricsOf(expr: string): string[] {
  const bare = substituted(expr, {}, { rate: "1m", range: "1h" })
    .replaceAll(/"[^"]*"/gu, "")
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/gu, "")
    .replaceAll(/\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)/gu, "");
  const names = [...bare.matchAll(/[a-zA-Z_:][\w:]*(?!\w|:|\s*\()/gu)].map(([name]) => name);
  return names.filter((name) => !notMetrics.has(name));
}

async function exposed(): Promise<Set<string>> {
  const metrics = createMetrics("1");
  const text = await metrics.text().finally(() => metrics.close());
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gmu)].map(([, name = "", type = ""]) => ({ name, type }));
  const summed = ["_bucket", "_sum", "_count"];
  return new Set(
    types.flatMap(({ name, type }) => [name, ...(type === "histogram" ? summed.map((end) => name + end) : [])]),
  );
}

function queriesOf({ dashboard }: (typeof all)[number]): string[] {
  const shown = panelsOf(dashboard).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return [...shown, ...dashboard.annotations.list.map(({ expr }) => expr)];
}

test("every metric that a dashboard or a rule names is one that the server exposes, or that a rule records", async () => {
  const known = new Set([...(await exposed()), ...recordings.map(({ name }) => name), ...ownOfPrometheus]);
  const expressions = [
    ...all.flatMap(queriesOf),
    ...alerts.map(({ expr }) => expr),
    ...recordings.map(({ expr }) => expr),
  ];
  assert.ok(expressions.length > 120, `${expressions.length} expressions`);
  for (const expr of expressions) {
    const names = metricsOf(expr);
    assert.ok(names.length > 0, expr);
    for (const name of names) assert.ok(known.has(name), `${name} in ${expr}`);
  }
  assert.deepEqual(metricsOf('sum by (le) (rate(seqserve_nonsense_total{a="b"}[5m]))'), ["seqserve_nonsense_total"]);
});

test("four dashboards, each with a uid of its own, the two variables, links to the others and marks of starts", () => {
  assert.deepEqual(
    all.map(({ dashboard }) => dashboard.uid),
    all.map(({ file }) => `seqserve-${file.replace(".json", "")}`),
  );
  assert.equal(all.length, 4);
  for (const { dashboard } of all) {
    assert.deepEqual(
      dashboard.templating.list.map(({ name }) => name),
      ["model", "instance"],
    );
    assert.ok(dashboard.links.some(({ type, tags }) => type === "dashboards" && tags.includes("seqserve")));
    assert.ok(dashboard.tags.includes("seqserve"));
    assert.ok(dashboard.annotations.list.some(({ expr }) => expr.includes("process_start_time_seconds")));
    for (const source of [...dashboard.templating.list, ...dashboard.annotations.list])
      assert.equal(source.datasource.uid, uid);
  }
  const provisioned = readFileSync("deploy/grafana/provisioning/datasources/prometheus.yaml", "utf8");
  assert.match(provisioned, new RegExp(`^ {4}uid: ${uid}$`, "mu"));
});

test("every panel has a title, a description, a unit, and queries with names to the one data source", () => {
  for (const { file, dashboard } of all) {
    for (const panel of panelsOf(dashboard)) {
      const where = `${file}: ${panel.title}`;
      assert.ok(panel.title.length > 2, where);
      assert.match(panel.description ?? "", /\w.*\.$/su, `${where} has a description of whole sentences`);
      assert.ok((panel.fieldConfig?.defaults.unit ?? "") !== "", `${where} has a unit`);
      assert.equal(panel.datasource?.uid, uid, where);
      assert.ok((panel.targets?.length ?? 0) > 0, where);
      for (const { legendFormat, datasource } of panel.targets ?? []) {
        assert.equal(datasource?.uid, uid, where);
        assert.ok(legendFormat !== "", where);
      }
    }
  }
});

test("panels do not overlap and fill rows of 24", () => {
  for (const { file, dashboard } of all) {
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, `${file}: ${title}`);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          assert.ok(!taken.has(`${x},${y}`), `${file}: ${title} lies over another`);
          taken.add(`${x},${y}`);
        }
    }
  }
});

test("every alert has severity, summary, description and a runbook entry, and every entry an alert", () => {
  const runbook = readFileSync("docs/runbook.md", "utf8");
  const entries = [...runbook.matchAll(/^### (\w+)\n\n\*(critical|warning)/gmu)];
  assert.deepEqual(
    entries.map(([, name]) => name),
    alerts.map(({ name }) => name),
  );
  for (const [i, { name, severity, summary, description, runbookUrl }] of alerts.entries()) {
    assert.equal(runbookUrl, `docs/runbook.md#${name.toLowerCase()}`);
    assert.equal(entries[i]?.[2], severity, name);
    assert.ok(summary.length > 10 && description.length > 10, name);
    const entry = runbook.split(`### ${name}\n`)[1]?.split("\n### ")[0] ?? "";
    for (const part of ["**Means**", "**Look at**", "**Do**"]) assert.ok(entry.includes(part), `${name}: ${part}`);
  }
});

test("what the runbook tells to look at is there: panels and settings by their names", () => {
  const runbook = readFileSync("docs/runbook.md", "utf8");
  const settings = readFileSync("docs/settings.md", "utf8");
  for (const [, name = ""] of runbook.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/gu))
    assert.ok(settings.includes(`\`${name}\``), name);
  const titles = new Set(all.flatMap(({ dashboard }) => panelsOf(dashboard).map(({ title }) => title)));
  const elsewhere = new Set([
    "Targets",
    "generation failed",
    "model failed to load",
    "answered",
    "takes jobs",
    "worker takes no jobs: it is made anew",
  ]);
  for (const [, name = ""] of runbook.matchAll(/"([^"]+)"/gu))
    assert.ok(titles.has(name) || elsewhere.has(name), `the runbook names "${name}"`);
});

test("each alert of a rule that is unit-tested: all of them", () => {
  const tests = readFileSync("deploy/prometheus/tests/alerts.yml", "utf8");
  for (const { name } of alerts) {
    assert.ok(
      tests.includes(`"${name}",alertstate="firing"`) || firesByPattern(tests, name),
      `${name} is not seen firing`,
    );
  }
});

/** Seen in the expected samples of a pattern. */
function firesByPattern(tests: string, name: string): boolean {
  return new RegExp(String.raw`labels: '?ALERTS\{alertname="${name}",alertstate="firing"`, "u").test(tests);
}

test("the compared parts of an alert are told apart from its limits", () => {
  assert.deepEqual(leftSides("(a > 14.4 * 0.05 and b > 2) and sum(c[1h]) > 20"), ["a", "b", "sum(c[1h])"]);
  assert.deepEqual(leftSides('absent(up{job="x"} == 1)'), ['up{job="x"}']);
  assert.deepEqual(leftSides("max(a) / (max(b) > 0) > 0.85"), ["max(a) / (max(b) > 0)"]);
});
