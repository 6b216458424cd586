// What KEDA's queries make of metrics, by Prometheus's own engine: promtool's rule tests.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse, stringify } from "yaml";

const noPromtool =
  spawnSync("promtool", ["--version"]).status !== 0 && "no promtool on this machine (apt-get install prometheus)";

interface ScaledObject {
  readonly spec: {
    readonly triggers: readonly { readonly name: string; readonly metadata: { readonly query: string } }[];
  };
}

const { spec } = parse(readFileSync("deploy/k8s/components/keda-worker/scaled-object.yaml", "utf8")) as ScaledObject;
const rules = spec.triggers.map(({ name, metadata }) => ({ record: `keda:${name}`, expr: metadata.query }));

// Two API nodes tell the same jobs; queue times of 100 requests a minute: 90 below 0.32 s, 10 between 0.64 and 1.28 s.
const busy = [
  ...["api-1", "api-2"].flatMap((pod) => [
    { series: `seqserve_jobs{model="a",state="waiting",pod="${pod}"}`, values: "10x10" },
    { series: `seqserve_jobs{model="a",state="active",pod="${pod}"}`, values: "32x10" },
    { series: `seqserve_jobs{model="a",state="failed",pod="${pod}"}`, values: "7x10" },
    { series: `seqserve_jobs{model="b",state="active",pod="${pod}"}`, values: "6x10" },
  ]),
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="0.32"}', values: "0+90x10" },
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="0.64"}', values: "0+90x10" },
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="1.28"}', values: "0+100x10" },
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="+Inf"}', values: "0+100x10" },
];
const idle = [
  { series: 'seqserve_jobs{model="a",state="waiting",pod="api-1"}', values: "0x10" },
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="0.32"}', values: "500x10" },
  { series: 'seqserve_queue_time_seconds_bucket{model="a",le="+Inf"}', values: "500x10" },
];

function expecting(input_series: object[], values: Readonly<Record<string, number>>): object {
  const promql_expr_test = Object.entries(values).map(([name, value]) => ({
    expr: `round(100 * keda:${name})`,
    eval_time: "5m",
    exp_samples: [{ labels: "{}", value: 100 * value }],
  }));
  return { interval: "1m", input_series, promql_expr_test };
}

test(
  "jobs are counted once, waits are those of the slowest twentieth, and no traffic is 0",
  { skip: noPromtool },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "seqserve-"));
    try {
      const file = join(folder, "test.yaml");
      writeFileSync(join(folder, "rules.yaml"), stringify({ groups: [{ name: "keda", rules }] }));
      const tests = [
        expecting(busy, { jobs: 48, wait: 0.96 }),
        expecting(idle, { jobs: 0, wait: 0 }),
        expecting([], { jobs: 0, wait: 0 }),
      ];
      writeFileSync(file, stringify({ rule_files: ["rules.yaml"], evaluation_interval: "1m", tests }));
      const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
      assert.equal(status, 0, `${stdout}${stderr}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
