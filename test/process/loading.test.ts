// What a fresh process loads, and what it does not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

test("OpenTelemetry's SDK is loaded where an endpoint is set, and only there", async () => {
  const script = `
    import { createRequire } from "node:module";
    import { defaultConfig } from "./dist/src/config/config.js";
    await import("./dist/src/app.js");
    await import("./dist/src/wiring/parts.js");
    const { openTracing } = await import("./dist/src/telemetry/tracing/open-tracing.js");
    const { cache } = createRequire(import.meta.url);
    const loaded = () => Object.keys(cache).some((file) => file.includes("@opentelemetry/sdk-trace"));
    const without = [await openTracing(defaultConfig()), loaded()];
    await openTracing(defaultConfig({ otlpEndpoint: "http://127.0.0.1:9" }));
    console.log(JSON.stringify([...without, loaded()]));
    process.exit();
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  assert.deepEqual(JSON.parse(stdout), [null, false, true]);
});
