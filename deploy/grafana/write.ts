// npm run openapi: writes dashboards/*.json from the sources beside this file. CI checks that they are in sync.
import { mkdirSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { batching } from "./batching.js";
import { dashboardOf } from "./dashboard.js";
import { overview } from "./overview.js";
import { queue } from "./queue.js";
import { runtime } from "./runtime.js";

const folder = "deploy/grafana/dashboards";

mkdirSync(folder, { recursive: true });
for (const source of [overview, batching, queue, runtime]) {
  const text = await format(JSON.stringify(dashboardOf(source)), { parser: "json", printWidth: 120 });
  writeFileSync(`${folder}/${source.name}.json`, text);
}
