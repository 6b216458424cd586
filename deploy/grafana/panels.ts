// A dashboard as data, turned into Grafana's JSON by Grafana's own builders: their types are its schema. Read by write.ts.
import {
  AxisPlacement,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import { ThresholdsConfigBuilder, ThresholdsMode } from "@grafana/grafana-foundation-sdk/dashboard";
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  YAxisConfigBuilder,
} from "@grafana/grafana-foundation-sdk/heatmap";
import { PanelBuilder as Heatmap } from "@grafana/grafana-foundation-sdk/heatmap";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as Timeseries } from "@grafana/grafana-foundation-sdk/timeseries";

/** Fixed, and the same in provisioning/datasources: JSON with another one shows nothing. */
export const datasource = { type: "prometheus", uid: "seqserve-prometheus" };

export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What it shows, and what to make of it. */
  readonly description: string;
  /** Grafana's name: s, bytes, percentunit, short, reqps … */
  readonly unit: string;
  /** stat: the last value. heatmap: of a histogram, `expr` must be summed by (le). */
  readonly kind: "lines" | "stacked" | "stat" | "heatmap";
  readonly queries: readonly Query[];
  /** Of 24. */
  readonly width: number;
  readonly max?: number;
  readonly decimals?: number;
  /** Where good ends; an alert fires there, or nearly. `isFloor`: below is bad. */
  readonly limit?: { readonly at: number; readonly isFloor?: boolean };
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const chartHeight = 8;
const statHeight = 4;

export function build(panel: Panel) {
  if (panel.kind === "stat") return stat(panel);
  return panel.kind === "heatmap" ? heatmap(panel) : timeseries(panel);
}

function queries({ queries: all, kind }: Panel): DataqueryBuilder[] {
  return all.map(({ expr, legend }, i) => {
    const query = new DataqueryBuilder()
      .expr(expr)
      .legendFormat(legend)
      .refId(String.fromCodePoint(65 + i))
      .datasource(datasource);
    if (kind === "stat") return query.instant();
    return kind === "heatmap" ? query.range().format(PromQueryFormat.Heatmap) : query.range();
  });
}

function timeseries(panel: Panel): Timeseries {
  const isStacked = panel.kind === "stacked";
  const built = new Timeseries()
    .title(panel.title)
    .description(panel.description)
    .datasource(datasource)
    .targets(queries(panel))
    .unit(panel.unit)
    .min(0)
    .span(panel.width)
    .height(chartHeight)
    // A line on top of a stack would show a series of zeros as if it were all of it.
    .lineWidth(isStacked ? 0 : 1)
    .fillOpacity(isStacked ? 70 : 8)
    // A gap of one scrape is no outage.
    .spanNulls(60_000)
    .axisPlacement(AxisPlacement.Auto)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    );
  if (isStacked) built.stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
  if (panel.max !== undefined) built.max(panel.max);
  if (panel.limit === undefined) return built;
  const dashed = new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed);
  return built.thresholds(thresholds(panel.limit)).thresholdsStyle(dashed);
}

function stat(panel: Panel): Stat {
  const built = new Stat()
    .title(panel.title)
    .description(panel.description)
    .datasource(datasource)
    .targets(queries(panel))
    .unit(panel.unit)
    .span(panel.width)
    .height(statHeight)
    .graphMode(BigValueGraphMode.None)
    // A lone series that has a name of its own shows it too.
    .textMode(
      panel.queries.some(({ legend }) => legend.includes("{{"))
        ? BigValueTextMode.ValueAndName
        : BigValueTextMode.Value,
    )
    .colorMode(panel.limit === undefined ? BigValueColorMode.None : BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]));
  if (panel.decimals !== undefined) built.decimals(panel.decimals);
  return panel.limit === undefined ? built : built.thresholds(thresholds(panel.limit));
}

function heatmap(panel: Panel): Heatmap {
  return new Heatmap()
    .title(panel.title)
    .description(panel.description)
    .datasource(datasource)
    .targets(queries(panel))
    .unit("short")
    .span(panel.width)
    .height(chartHeight)
    .calculate(false)
    .yAxis(new YAxisConfigBuilder().unit(panel.unit))
    .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme("Oranges").steps(64));
}

function thresholds({ at, isFloor = false }: NonNullable<Panel["limit"]>): ThresholdsConfigBuilder {
  const [below, above] = isFloor ? ["red", "green"] : ["green", "red"];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([
    { value: null, color: below as string },
    { value: at, color: above as string },
  ]);
}
