// Draws a dashboard's panels from the answers of a real Prometheus as one HTML page of SVG, after Grafana's manner: enough to see what an operator sees.
import { legendOf, panelsOf, substituted, type Dashboard, type Panel } from "./dashboards.js";
import type { Prometheus } from "./prometheus.js";

export interface Span {
  /** Seconds since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly stepSeconds: number;
  readonly rate: string;
}

interface Line {
  readonly name: string;
  readonly values: readonly (readonly [number, number])[];
}

const column = 60;
const left = 62;
const rowHeight = 30;
const statColours: Readonly<Record<string, string>> = { green: "#73bf69", red: "#f2495c" };
const colours = [
  "#7eb26d",
  "#eab839",
  "#6ed0e0",
  "#ef843c",
  "#e24d42",
  "#5195ce",
  "#ba43a9",
  "#a98bd8",
  "#82b5d8",
  "#d8a48f",
];

export async function pageOf(dashboard: Dashboard, prometheus: Prometheus, span: Span): Promise<string> {
  const starts = await startsIn(dashboard, prometheus, span);
  const drawn = await Promise.all(panelsOf(dashboard).map((panel) => panelHtml(panel, prometheus, span, starts)));
  const titles = dashboard.panels
    .filter(({ type }) => type === "row")
    .map(({ title, gridPos }) => place(gridPos, `<h2>${text(title)}</h2>`, "row"));
  const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * rowHeight;
  return `<!doctype html><meta charset="utf-8"><style>${style}</style><h1>${text(dashboard.title)}</h1>
<main style="height:${height}px">${titles.join("")}${drawn.join("")}</main>`;
}

async function startsIn({ annotations }: Dashboard, prometheus: Prometheus, span: Span): Promise<number[]> {
  const expr = annotations.list.find(({ name }) => name === "Process starts")?.expr ?? "";
  const series = await prometheus.queryRange(put(expr, span), span.from, span.to, span.stepSeconds);
  const times = series.flatMap(({ values }) => values.map(([, value]) => value / 1000));
  return [...new Set(times)].filter((time) => time >= span.from && time <= span.to);
}

async function panelHtml(panel: Panel, prometheus: Prometheus, span: Span, starts: readonly number[]): Promise<string> {
  const targets = panel.targets ?? [];
  const lines: Line[] = [];
  for (const { expr, legendFormat } of targets) {
    const asked = put(expr, span);
    const series =
      panel.type === "stat"
        ? await prometheus.query(asked)
        : await prometheus.queryRange(asked, span.from, span.to, span.stepSeconds);
    lines.push(...series.map((one) => ({ name: legendOf(legendFormat, one.metric), values: one.values })));
  }
  const inside =
    panel.type === "stat"
      ? statHtml(panel, lines)
      : panel.type === "heatmap"
        ? heatmapSvg(panel, lines, span)
        : chartSvg(panel, lines, span, starts);
  return place(
    panel.gridPos,
    `<h3>${text(panel.title)}</h3>${lines.length === 0 ? "<p>No data</p>" : inside}`,
    "panel",
  );
}

function put(expr: string, { from, to, rate }: Span): string {
  return substituted(expr, {}, { rate, range: `${Math.round(to - from)}s` });
}

function statHtml(panel: Panel, lines: readonly Line[]): string {
  const hasNames = panel.options?.textMode === "value_and_name" || lines.length > 1;
  const values = lines.map(({ name, values: all }) => {
    const value = all.at(-1)?.[1] ?? NaN;
    const colour = panel.fieldConfig?.defaults.thresholds?.steps.findLast(
      (step) => (step.value ?? -Infinity) <= value,
    )?.color;
    return `<div><b style="color:${statColours[colour ?? ""] ?? "#fff"}">${shown(value, unitOf(panel), panel.fieldConfig?.defaults.decimals)}</b>${hasNames ? `<i>${text(name)}</i>` : ""}</div>`;
  });
  return `<section>${values.join("")}</section>`;
}

function chartSvg(panel: Panel, all: readonly Line[], span: Span, starts: readonly number[]): string {
  const { w, h } = inner(panel);
  const defaults = panel.fieldConfig?.defaults;
  const isStacked = defaults?.custom?.stacking?.mode === "normal";
  const lines = isStacked ? stacked(all) : all;
  const limit = defaults?.custom?.thresholdsStyle === undefined ? undefined : defaults.thresholds?.steps.at(-1)?.value;
  const top = defaults?.max ?? nice(Math.max(...lines.flatMap(({ values }) => values.map(([, value]) => value)), 0));
  const legendHeight = Math.min(all.length, 6) * 13 + 4;
  const bottom = h - legendHeight - 24;
  const x = (at: number) => left + ((at - span.from) / (span.to - span.from)) * (w - left - 6);
  const y = (value: number) => bottom - (Math.min(value, top) / top) * (bottom - 6);
  const grid = [0, 0.5, 1].map(
    (share) =>
      `<path d="M${left} ${y(top * share)}H${w - 6}" class="grid"/><text x="${left - 5}" y="${y(top * share) + 4}" text-anchor="end">${shown(top * share, unitOf(panel))}</text>`,
  );
  const marks = starts.map((at) => `<path d="M${x(at)} 6V${bottom}" class="start"/>`);
  const dashed = limit == null || limit > top ? "" : `<path d="M${left} ${y(limit)}H${w - 6}" class="limit"/>`;
  const colourOf = (i: number) => colours[i % colours.length] ?? "";
  const paths = isStacked
    ? lines.map(({ values }, i) => areaOf(values, lines[i - 1]?.values ?? [], x, y, colourOf(i)))
    : lines.map(({ values }, i) => `<path d="${pathOf(values, x, y, span)}" stroke="${colourOf(i)}" class="line"/>`);
  const legend = all.slice(0, 6).map(({ name, values }, i) => {
    const [last = NaN, most] = [values.at(-1)?.[1], Math.max(...values.map(([, value]) => value))];
    return `<rect x="6" y="${h - legendHeight + i * 13}" width="9" height="3" fill="${colours[i]}"/><text x="20" y="${h - legendHeight + i * 13 + 6}">${text(name)}</text><text x="${w - 84}" y="${h - legendHeight + i * 13 + 6}" text-anchor="end">${shown(last, unitOf(panel))}</text><text x="${w - 6}" y="${h - legendHeight + i * 13 + 6}" text-anchor="end">${shown(most, unitOf(panel))}</text>`;
  });
  return svg(w, h, [...grid, ...marks, dashed, ...paths, times(span, x, bottom), ...legend]);
}

/** Buckets hold what the smaller ones hold too; Grafana takes that off. */
function heatmapSvg(panel: Panel, lines: readonly Line[], span: Span): string {
  const { w, h } = inner(panel);
  const bounds = lines
    .map(({ name, values }) => ({ bound: Number(name.replace("+Inf", "Infinity")), values: new Map(values) }))
    .sort((a, b) => a.bound - b.bound);
  const cells = bounds.flatMap(({ values }, i) =>
    [...values].map(([at, total]) => ({ at, i, count: total - (bounds[i - 1]?.values.get(at) ?? 0) })),
  );
  const most = Math.max(...cells.map(({ count }) => count), 1e-9);
  const bottom = h - 18;
  const x = (at: number) => left + ((at - span.from) / (span.to - span.from)) * (w - left - 6);
  const cell = (bottom - 6) / bounds.length;
  const boxes = cells
    .filter(({ count }) => count > 1e-9)
    .map(
      ({ at, i, count }) =>
        `<rect x="${x(at - span.stepSeconds).toFixed(1)}" y="${(bottom - (i + 1) * cell).toFixed(1)}" width="${(x(span.from + span.stepSeconds) - left).toFixed(1)}" height="${(cell - 0.5).toFixed(1)}" fill="#ef843c" fill-opacity="${(0.12 + 0.88 * (count / most)).toFixed(2)}"/>`,
    );
  const labels = bounds.map(({ bound }, i) =>
    i % 3 === 0
      ? `<text x="${left - 5}" y="${bottom - i * cell - cell / 2 + 3}" text-anchor="end">${shown(bound, panel.options?.yAxis?.unit ?? "short")}</text>`
      : "",
  );
  return svg(w, h, [...boxes, ...labels, times(span, x, bottom)]);
}

function stacked(lines: readonly Line[]): Line[] {
  const sums = new Map<number, number>();
  return lines.map(({ name, values }) => ({
    name,
    values: values.map(([at, value]) => {
      const sum = (sums.get(at) ?? 0) + value;
      sums.set(at, sum);
      return [at, sum] as const;
    }),
  }));
}

type Scale = (value: number) => number;

function pathOf(values: Line["values"], x: Scale, y: Scale, { stepSeconds }: Span): string {
  return values
    .map(
      ([at, value], i) =>
        `${i === 0 || at - (values[i - 1]?.[0] ?? 0) > stepSeconds * 3 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`,
    )
    .join("");
}

function areaOf(values: Line["values"], below: Line["values"], x: Scale, y: Scale, colour: string): string {
  const floor = new Map(below);
  const back = [...values].reverse().map(([at]) => `L${x(at).toFixed(1)} ${y(floor.get(at) ?? 0).toFixed(1)}`);
  const there = values.map(([at, value], i) => `${i === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  return `<path d="${there.join("")}${back.join("")}Z" fill="${colour}" fill-opacity="0.7"/>`;
}

function times({ from, to }: Span, x: Scale, bottom: number): string {
  const at = (share: number) => from + (to - from) * share;
  return [0, 0.5, 1]
    .map(
      (share) =>
        `<text x="${x(at(share))}" y="${bottom + 12}" text-anchor="${share === 0 ? "start" : share === 1 ? "end" : "middle"}">${new Date(at(share) * 1000).toISOString().slice(11, 19)}</text>`,
    )
    .join("");
}

function nice(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 3, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

function unitOf(panel: Panel): string {
  return panel.fieldConfig?.defaults.unit ?? "short";
}

/** As Grafana writes a value of these units. */
function shown(value: number, unit: string, decimals?: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-";
  if (unit === "percentunit") return `${trimmed(value * 100, decimals ?? 1)}%`;
  if (unit === "s") return seconds(value);
  if (unit === "bytes") return scaled(value, 1024, ["B", "KiB", "MiB", "GiB"]);
  const ending = { reqps: " req/s", ops: " ops/s" }[unit] ?? "";
  return scaled(value, 1000, ["", "K", "M", "G"]).replace(" ", "") + ending;
}

function seconds(value: number): string {
  if (value === 0) return "0 s";
  if (value < 0.001) return `${trimmed(value * 1e6, 0)} µs`;
  if (value < 1) return `${trimmed(value * 1000, 1)} ms`;
  return value < 120 ? `${trimmed(value, 2)} s` : `${trimmed(value / 60, 1)} min`;
}

function scaled(value: number, base: number, names: readonly string[]): string {
  const step = value < base ? 0 : Math.min(Math.floor(Math.log(value) / Math.log(base)), names.length - 1);
  return `${trimmed(value / base ** step, 2)} ${names[step] ?? ""}`.trim();
}

function trimmed(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}

function inner({ gridPos }: Panel): { readonly w: number; readonly h: number } {
  return { w: gridPos.w * column - 22, h: gridPos.h * rowHeight - 38 };
}

function svg(w: number, h: number, parts: readonly string[]): string {
  return `<svg width="${w}" height="${h}">${parts.join("")}</svg>`;
}

function place({ x, y, w, h }: Panel["gridPos"], html: string, name: string): string {
  return `<div class="${name}" style="left:${x * column}px;top:${y * rowHeight}px;width:${w * column - 8}px;height:${h * rowHeight - 8}px">${html}</div>`;
}

function text(raw: string): string {
  return raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

const style = `
body{background:#111217;color:#ccccdc;font:12px sans-serif;margin:12px;width:${24 * column}px}
h1{font-size:18px;margin:0 0 8px}h2{font-size:14px;margin:4px 0}h3{font-size:12px;margin:0 0 4px;color:#fff}
main{position:relative}.panel,.row{position:absolute;box-sizing:border-box;overflow:hidden}
.panel{background:#181b1f;border:1px solid #2c3235;border-radius:3px;padding:6px}
section{display:flex;gap:18px;flex-wrap:wrap;justify-content:center;align-items:center;height:66px}
section div{display:flex;flex-direction:column;align-items:center}section b{font-size:22px}section i{font-style:normal;color:#9a9aa8;font-size:11px}
svg text{fill:#9a9aa8;font-size:10px}.grid{stroke:#2c3235}.line{fill:none;stroke-width:1.4}
.limit{stroke:#e24d42;stroke-dasharray:5 4}.start{stroke:#5195ce;stroke-dasharray:2 3}p{color:#e24d42}`;
