// What all four dashboards share: variables, links to each other, marks where a process started or an alert fired.
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { build, datasource, type Row } from "./panels.js";

export interface DashboardSource {
  /** Ends the uid, and names the file. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
}

export function dashboardOf({ name, title, description, rows }: DashboardSource): Dashboard {
  const built = new DashboardBuilder(`seqserve: ${title}`)
    .uid(`seqserve-${name}`)
    .description(description)
    .tags(["seqserve"])
    .time({ from: "now-1h", to: "now" })
    .refresh("30s")
    .timezone("browser")
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(variable("model", "Model", "label_values(seqserve_requests_total, model)"))
    .withVariable(variable("instance", "Instance", 'label_values(up{job="seqserve"}, instance)'))
    .link(
      new DashboardLinkBuilder("seqserve")
        .type(DashboardLinkType.Dashboards)
        .tags(["seqserve"])
        .includeVars(true)
        .keepTime(true),
    )
    .annotation(starts())
    .annotation(alerts());
  for (const row of rows) {
    built.withRow(new RowBuilder(row.title));
    for (const panel of row.panels) built.withPanel(build(panel));
  }
  return finished(built.build());
}

// Grafana gives ids on loading; fixed ones keep links to panels alive. What has no placement stands at the top, not in a menu.
function finished(dashboard: Dashboard): Dashboard {
  for (const item of [...(dashboard.links ?? []), ...(dashboard.annotations.list ?? [])]) delete item.placement;
  const panels = (dashboard.panels ?? []).map((panel, i) => ({ ...panel, id: i + 1 }));
  return { ...dashboard, panels };
}

function variable(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(datasource)
    .query({ query, refId: "A" })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] });
}

function starts(): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name("Process starts")
    .datasource(datasource)
    .enable(true)
    .iconColor("blue")
    .expr('process_start_time_seconds{job="seqserve",instance=~"$instance"} * 1000')
    .useValueForTime(true)
    .step("60s")
    .titleFormat("start")
    .textFormat("{{instance}}");
}

function alerts(): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name("Alerts")
    .datasource(datasource)
    .enable(true)
    .iconColor("red")
    .expr('ALERTS{alertstate="firing",alertname=~"Seqserve.*"}')
    .step("60s")
    .titleFormat("{{alertname}}")
    .textFormat("{{severity}} {{model}} {{instance}}");
}
