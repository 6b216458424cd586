// npm run suite -- chaos kill|recovery|pause|redis|rolling|handoff|overload [count]: one kind of disturbance on a cluster of real processes, judged event by event. Prints what it measured, as JSON.
import { killWorkers } from "./kill.js";
import { overload } from "./overload.js";
import { pauseWorkers } from "./pause.js";
import { disturbRedis } from "./redis.js";
import { rollingRestart } from "./rolling.js";

const kinds: Readonly<Record<string, (count: number | undefined) => Promise<object>>> = {
  kill: (count = 200) => killWorkers(count),
  // Far enough apart that no stream meets two.
  recovery: (count = 20) => killWorkers(count, 12_000),
  pause: (count = 6) => pauseWorkers(count),
  redis: (count = 5) => disturbRedis(count, 20),
  rolling: (count = 3) => rollingRestart(count, 30_000),
  overload: (count = 60) => overload(count),
  handoff: (count = 3) => rollingRestart(count, 0, 6),
};

const [kind = "", count] = process.argv.slice(2);
const run = kinds[kind];
if (run === undefined) throw new Error(`which? one of ${Object.keys(kinds).join(", ")}`);
console.log(JSON.stringify(await run(count === undefined ? undefined : Number(count)), null, 2));
