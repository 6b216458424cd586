// Settings: flags over environment over defaults; one line that names what is wrong.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  ConfigError,
  defaultConfig,
  readCommand,
  readConfig,
  disableOrtTelemetry,
} from "../../../src/config/config.js";
import { cpuLimit } from "../../../src/config/cpu-limit.js";
import { flagOf, helpText, settingNames, settings, settingsPage } from "../../../src/config/settings.js";

function wrong(args: string[], environment: Record<string, string> = {}): string {
  try {
    readConfig(args, environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.ok(!error.message.includes("\n"), "one line");
    return error.message;
  }
  return assert.fail("it was accepted");
}

test("ONNX Runtime tells nobody of its use, unless a person wants it to", () => {
  const silent: NodeJS.ProcessEnv = {};
  disableOrtTelemetry(silent);
  assert.equal(silent["ORT_DISABLE_TELEMETRY"], "1");
  const chosen: NodeJS.ProcessEnv = { ORT_DISABLE_TELEMETRY: "0" };
  disableOrtTelemetry(chosen);
  assert.equal(chosen["ORT_DISABLE_TELEMETRY"], "0");
});

describe("values", () => {
  test("flags win over the environment, which wins over defaults", () => {
    assert.equal(readConfig([], {}).port, 8080);
    assert.equal(readConfig([], { PORT: "1" }).port, 1);
    assert.equal(readConfig(["--port", "2"], { PORT: "1" }).port, 2);
    assert.equal(readConfig(["--port=3"], { PORT: "1" }).port, 3);
  });

  test("an empty variable counts as not set", () => {
    assert.equal(readConfig([], { PORT: "", API_KEYS: " " }).port, 8080);
    assert.deepEqual(readConfig([], { API_KEYS: " " }).apiKeys, []);
  });

  test("lists, words and unset ones", () => {
    const config = readConfig([], {
      MODEL: "a, b,,",
      API_KEYS: "k1,k2",
      THREADS: "auto",
      ENGINES: "2",
      METRICS_PORT: "9464",
    });
    assert.deepEqual(
      [config.models, config.apiKeys, config.threads, config.engines, config.metricsPort],
      [["a", "b"], ["k1", "k2"], null, 2, 9464],
    );
    assert.deepEqual(
      [defaultConfig().metricsPort, defaultConfig().maxInputTokens, defaultConfig().defaultTimeoutMs],
      [null, null, null],
    );
  });

  test("roles of their own need Redis", () => {
    assert.equal(wrong([], { ROLE: "worker" }), "REDIS_URL: ROLE=worker needs it");
    assert.equal(readConfig([], { ROLE: "api", REDIS_URL: "redis://h:1/2" }).redisUrl, "redis://h:1/2");
    assert.equal(readConfig([], {}).redisUrl, null);
    assert.match(wrong([], { REDIS_URL: "localhost:6379" }), /^REDIS_URL: must be redis:/u);
  });

  test("where traces go: headers are decoded, and never repeated in an error", () => {
    const name = "OTEL_EXPORTER_OTLP_HEADERS";
    assert.deepEqual(readConfig([], { [name]: "x-key=a%20b=, authorization = Bearer%2C1," }).otlpHeaders, {
      "x-key": "a b=",
      authorization: "Bearer,1",
    });
    for (const value of ["secret", "=secret", "key=%secret", "two words=secret"]) {
      assert.equal(
        wrong([], { [name]: value }),
        `${name}: must be name=value, comma-separated, with values percent-encoded`,
      );
    }
    assert.match(wrong([], { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" }), /must be http:/u);
    assert.match(wrong([], { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), /must be one of http\/protobuf \(got "grpc"\)/u);
    assert.equal(readConfig([], { OTEL_TRACES_SAMPLER_ARG: "0.25" }).otelTracesSamplerArg, 0.25);
    for (const value of ["1.1", "-1", "half", "1e-3"]) {
      assert.match(wrong([], { OTEL_TRACES_SAMPLER_ARG: value }), /must be a number from 0 to 1/u);
    }
    assert.deepEqual([defaultConfig().otlpEndpoint, defaultConfig().otelTracesSamplerArg], [null, 1]);
  });

  test("the config can't be changed", () => {
    const config = readConfig([], {});
    assert.throws(() => Object.assign(config, { port: 1 }));
    assert.throws(() => Object.assign(config.apiKeys, { 0: "x" }));
  });

  test("CACHE_DIR auto is the user's cache folder", () => {
    assert.equal(readConfig([], { XDG_CACHE_HOME: "/c" }).cacheDir, "/c/seqserve");
    assert.equal(readConfig([], { CACHE_DIR: "none" }).cacheDir, "none");
  });
});

describe("mistakes", () => {
  test("a wrong value names the setting as it was written", () => {
    assert.equal(wrong([], { PORT: "http" }), 'PORT: must be a whole number from 0 to 65535 (got "http")');
    assert.equal(wrong(["--max-beams", "0"]), '--max-beams: must be a whole number from 1 to 64 (got "0")');
    assert.match(wrong([], { PORT: "1e3" }), /PORT/u);
    assert.match(wrong([], { LOG_LEVEL: "loud" }), /LOG_LEVEL: must be one of info, debug/u);
    assert.match(wrong([], { DEVICE: "gpu" }), /DEVICE: must be auto, cpu, cuda or cuda:<number> \(got "gpu"\)/u);
  });

  test("an unknown flag names the nearest", () => {
    assert.equal(wrong(["--max-batch-row", "1"]), "--max-batch-row: unknown setting (did you mean --max-batch-rows?)");
    assert.match(wrong(["--zzzzzzzz", "1"]), /^--zzzzzzzz: unknown setting$/u);
    assert.match(wrong(["models"]), /unexpected argument/u);
    assert.equal(wrong(["--port"]), "--port: needs a value");
    assert.equal(wrong(["--port", "--host", "x"]), "--port: needs a value");
  });

  test("a misspelt variable names the nearest", () => {
    assert.equal(wrong([], { MODEL_DIR: "x" }), "MODEL_DIR: unknown setting (did you mean MODELS_DIR?)");
    assert.match(wrong([], { API_KEY: "secret" }), /API_KEYS/u);
    assert.match(wrong([], { MAX_BATCH_ROW: "1" }), /MAX_BATCH_ROWS/u);
    assert.match(wrong([], { DRAIN_TIMEOUT: "1", DRAIN_TIMEOUT_SM: "1" }), /DRAIN_TIMEOUT_MS/u);
  });

  test("other programs' variables are left alone", () => {
    const others = [
      "PATH",
      "HOME",
      "HOSTNAME",
      "MODE",
      "SHELL",
      "LANG",
      "PORTS",
      "OLDPWD",
      "TERM",
      "LOGNAME",
      "SEQSERVE_PORT",
      "SEQSERVE_SERVICE_HOST",
      "NODE_ENV",
      "LC_ALL",
      "GPG_KEY",
      "CI",
    ];
    readConfig([], Object.fromEntries(others.map((name) => [name, "x"])));
  });
});

describe("documents", () => {
  test("every setting is in --help and in docs/settings.md", () => {
    for (const name of settingNames) {
      assert.ok(helpText("1").includes(flagOf(name)), name);
      assert.ok(settingsPage().includes(`\`${name}\``), name);
    }
    assert.equal(readFileSync("docs/settings.md", "utf8"), settingsPage(), "npm run openapi writes it");
  });

  test("every default is a value that its own rule accepts", () => {
    for (const setting of Object.values(settings)) if (setting.default !== null) setting.parse(setting.default);
  });

  test("--help and --version are not settings", () => {
    assert.equal(readCommand(["--help"], {}).kind, "help");
    assert.equal(readCommand(["--version"], {}).kind, "version");
  });
});

test("CPUs come from the cgroup's quota, rounded down, and never below 1", () => {
  const reader = (files: Record<string, string>) => (path: string) => files[path] ?? null;
  assert.equal(cpuLimit(reader({ "/sys/fs/cgroup/cpu.max": "150000 100000\n" })), 1);
  assert.equal(cpuLimit(reader({ "/sys/fs/cgroup/cpu.max": "50000 100000\n" })), 1);
  const free = cpuLimit(reader({}));
  assert.equal(cpuLimit(reader({ "/sys/fs/cgroup/cpu.max": "max 100000\n" })), free);
  assert.equal(
    cpuLimit(reader({ "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000" })),
    free,
  );
  assert.equal(
    cpuLimit(
      reader({ "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000" }),
    ),
    1,
  );
});
