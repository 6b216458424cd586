// The dashboards as Grafana reads them: files, panels, expressions, and variables put in as Grafana does.
import { readdirSync, readFileSync } from "node:fs";

export const folder = "deploy/grafana/dashboards";

export interface Target {
  readonly expr: string;
  readonly legendFormat: string;
  readonly refId: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly (Target & { readonly datasource?: { readonly uid: string } })[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly max?: number;
      readonly decimals?: number;
      readonly thresholds?: { readonly steps: readonly { readonly value: number | null; readonly color: string }[] };
      readonly custom?: { readonly stacking?: { readonly mode: string }; readonly thresholdsStyle?: object };
    };
  };
  readonly options?: { readonly yAxis?: { readonly unit?: string }; readonly textMode?: string };
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly panels: readonly Panel[];
  readonly links: readonly { readonly type: string; readonly tags: readonly string[] }[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: {
    readonly list: readonly {
      readonly name: string;
      readonly expr: string;
      readonly datasource: { readonly uid: string };
    }[];
  };
}

export interface Variable {
  readonly name: string;
  readonly allValue: string;
  readonly query: { readonly query: string };
  readonly datasource: { readonly uid: string };
}

export function dashboards(): { readonly file: string; readonly dashboard: Dashboard }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => ({ file: name, dashboard: JSON.parse(readFileSync(`${folder}/${name}`, "utf8")) as Dashboard }));
}

/** Without the titles of rows. */
export function panelsOf({ panels }: Dashboard): readonly Panel[] {
  return panels.filter(({ type }) => type !== "row");
}

/** What is chosen: a value of each variable, or all. */
export interface Choice {
  readonly model?: string;
  readonly instance?: string;
}

export interface Intervals {
  readonly rate: string;
  readonly range: string;
}

/** `expr` as Grafana sends it to Prometheus. */
export function substituted(expr: string, choice: Choice, { rate, range }: Intervals): string {
  return expr
    .replaceAll("$model", choice.model === undefined ? ".*" : escaped(choice.model))
    .replaceAll("$instance", choice.instance === undefined ? ".*" : escaped(choice.instance))
    .replaceAll("$__rate_interval", rate)
    .replaceAll("$__range", range);
}

/** A series' name in the legend. */
export function legendOf(legend: string, labels: Readonly<Record<string, string>>): string {
  return legend.replaceAll(/\{\{(\w+)\}\}/gu, (_, label: string) => labels[label] ?? "").trim();
}

// Values of a variable of several go into a regular expression inside a string.
function escaped(value: string): string {
  return value.replaceAll(/[\\^$*+?.()|[\]{}]/gu, String.raw`\\$&`);
}
