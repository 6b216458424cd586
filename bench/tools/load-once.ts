// Loads one model folder in a fresh process and prints how long it took and the most memory it held: node load-once.js FOLDER DTYPE CACHE_DIR.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../src/inference/engine/models/load-model.js";
import { readFolder } from "../../src/inference/folder/folder.js";

const [, , folder = "", dtype = "fp32", cacheDir = ".cache/bench"] = process.argv;
const started = performance.now();
let fileMb = 0;
if (folder !== "") {
  const { plan } = await readFolder(folder, { dtype, cacheDir });
  await loadModel(plan, { threads: 1, device: "cpu" });
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  fileMb = Math.round(sizes.reduce((sum, size) => sum + size, 0) / 2 ** 20);
}
const ms = Math.round(performance.now() - started);
console.log(JSON.stringify({ ms, peakMb: Math.round(process.resourceUsage().maxRSS / 1024), fileMb }));
