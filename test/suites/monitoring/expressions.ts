// Runs every expression of dashboards, rules and alerts against a Prometheus that watches a busy system: each must have data, or it would show nothing to anybody.
import { dashboards, panelsOf, substituted, type Choice, type Panel } from "./dashboards.js";
import type { Prometheus } from "./prometheus.js";
import { leftSides, rules } from "./rules.js";

export interface Checked {
  readonly where: string;
  readonly expr: string;
  readonly series: number;
  /** null: it has data. */
  readonly fault: string | null;
}

const intervals = { rate: "15s", range: "1m" };
const lookBackSeconds = 40;
const stepSeconds = 5;

/** With all models and instances, then with each model alone and with each instance alone, of which some must have data. */
export async function checkExpressions(prometheus: Prometheus): Promise<Checked[]> {
  const models = await prometheus.labelValues("seqserve_requests_total", "model");
  const instances = await prometheus.labelValues('up{job="seqserve"}', "instance");
  const choices: Choice[][] = [[{}], models.map((model) => ({ model })), instances.map((instance) => ({ instance }))];
  const checks = dashboards().flatMap(({ file, dashboard }) => {
    const { templating, annotations } = dashboard;
    return [
      ...templating.list.map(
        ({ name, query }) =>
          () =>
            checkVariable(prometheus, `${file} $${name}`, query.query),
      ),
      ...panelsOf(dashboard).flatMap((panel) =>
        (panel.targets ?? []).flatMap(({ expr, refId }) =>
          choices.map((some) => () => checkPanel(prometheus, panel, `${file} "${panel.title}" ${refId}`, expr, some)),
        ),
      ),
      ...annotations.list.map(
        ({ name, expr }) =>
          () =>
            checkQuery(prometheus, `${file} annotation "${name}"`, put(expr, {}), name === "Alerts"),
      ),
    ];
  });
  return atOnce([...checks, ...checkRules(prometheus)]);
}

/** Some at a time: Prometheus takes twenty. */
async function atOnce(checks: readonly (() => Promise<Checked>)[]): Promise<Checked[]> {
  const left = [...checks];
  const checked: Checked[] = [];
  const lane = async (): Promise<void> => {
    for (let check = left.shift(); check !== undefined; check = left.shift()) checked.push(await check());
  };
  await Promise.all(Array.from({ length: 10 }, lane));
  return checked;
}

function put(expr: string, choice: Choice): string {
  return substituted(expr, choice, intervals);
}

function checkRules(prometheus: Prometheus): (() => Promise<Checked>)[] {
  const { alerts, recordings } = rules();
  return [
    ...recordings.map(
      ({ name }) =>
        () =>
          checkQuery(prometheus, `recorded ${name}`, name),
    ),
    ...alerts.map(
      ({ name, expr }) =>
        () =>
          checkQuery(prometheus, `alert ${name}`, expr, true),
    ),
    ...alerts.flatMap(({ name, expr }) =>
      leftSides(expr).map((side) => () => checkQuery(prometheus, `alert ${name}, what it compares`, side)),
    ),
  ];
}

async function checkVariable(prometheus: Prometheus, where: string, query: string): Promise<Checked> {
  const [, match = "", label = ""] = /^label_values\((.+), (\w+)\)$/u.exec(query) ?? [];
  const { length } = await prometheus.labelValues(match, label);
  return { where, expr: query, series: length, fault: length > 0 ? null : "no values" };
}

/** The best of some choices. */
async function checkPanel(
  prometheus: Prometheus,
  { type }: Panel,
  where: string,
  written: string,
  choices: readonly Choice[],
): Promise<Checked> {
  let best: Checked | null = null;
  for (const choice of choices) {
    const expr = put(written, choice);
    const chosen = Object.values(choice).length === 0 ? "all" : `one ${Object.keys(choice).join()}`;
    const one = type === "stat" ? await checkQuery(prometheus, where, expr) : await checkRange(prometheus, where, expr);
    if (best === null || one.series > best.series) best = { ...one, where: `${where}, ${chosen}` };
  }
  return best ?? { where, expr: written, series: 0, fault: "nothing to choose" };
}

async function checkRange(prometheus: Prometheus, where: string, expr: string): Promise<Checked> {
  const now = Date.now() / 1000;
  return judged(where, expr, () => prometheus.queryRange(expr, now - lookBackSeconds, now, stepSeconds));
}

async function checkQuery(prometheus: Prometheus, where: string, expr: string, mayBeEmpty = false): Promise<Checked> {
  return judged(where, expr, () => prometheus.query(expr), mayBeEmpty);
}

async function judged(
  where: string,
  expr: string,
  ask: () => Promise<readonly unknown[]>,
  mayBeEmpty = false,
): Promise<Checked> {
  try {
    const { length: series } = await ask();
    return { where, expr, series, fault: series > 0 || mayBeEmpty ? null : "no data" };
  } catch (error) {
    return { where, expr, series: 0, fault: (error as Error).message };
  }
}
