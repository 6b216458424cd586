// The app around generation: ids, keys, origins, unknown routes, models, health, the OpenAPI document, logs without texts.
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import { describe, test } from "node:test";
import { Ajv } from "ajv";
import { buildMetricsApp } from "../../src/app.js";
import { createLog } from "../../src/telemetry/log.js";
import { modelInfo, ScriptedInference, testServer, wireEvents, type TestServer } from "../support/servers/scripted.js";

async function withServer(
  options: Parameters<typeof testServer>[0],
  body: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await testServer(options);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

const plain = await testServer();
const get = async (url: string, headers: Record<string, string> = {}) => {
  const response = await plain.app.inject({ url, headers });
  return {
    status: response.statusCode,
    headers: response.headers,
    body: JSON.parse(response.body),
  };
};

test("fields that no schema declares reach the client, whatever scope a route stands in", async () => {
  const addField = (message: unknown) => {
    const { fastify } = message as { fastify: TestServer["app"] };
    fastify.addHook("preSerialization", async (_request, _reply, body) => ({ ...(body as object), undeclared: [NaN] }));
  };
  diagnostics.subscribe("fastify.initialization", addField);
  await withServer({}, async ({ app }) => {
    const bodies = {
      "/health": null,
      "/info": null,
      "/generate": { inputs: "hi" },
      "/": { inputs: "hi" },
      "/tokenize": { inputs: "hi" },
      "/generations": { inputs: "hi" },
      "/v1/completions": { model: "echo", prompt: "hi" },
      "/v2/models/echo/generate": { text_input: "hi" },
      "/translate": { q: "hi", source: "en", target: "en" },
    };
    for (const [url, payload] of Object.entries(bodies)) {
      const call = payload === null ? { url } : { url, payload, method: "POST" as const };
      const { body } = await app.inject(call);
      assert.deepEqual((JSON.parse(body) as { undeclared?: unknown }).undeclared, [null], `${url}: ${body}`);
    }
  }).finally(() => diagnostics.unsubscribe("fastify.initialization", addField));
});

describe("request ids", () => {
  test("a sane one of the client is kept, on the answer and on the log line", async () => {
    const { headers } = await get("/models", { "x-request-id": "trace-1:a.b/c" });
    assert.equal(headers["x-request-id"], "trace-1:a.b/c");
    assert.ok(
      plain.lines.some(
        (line) => line["request_id"] === "trace-1:a.b/c" && line["route"] === "/models" && line["status"] === 200,
      ),
    );
  });

  test("others are replaced", async () => {
    for (const sent of ["", "a b", "x".repeat(129), "ü", 'a"b']) {
      const { headers } = await get("/models", { "x-request-id": sent });
      assert.match(String(headers["x-request-id"]), /^[\da-f-]{36}$/u);
    }
  });

  test("errors carry one too", async () => {
    assert.ok((await get("/nowhere")).headers["x-request-id"]);
  });

  test("every line of a request has its id", async () => {
    await plain.app.inject({
      method: "POST",
      url: "/generate",
      headers: { "x-request-id": "lines" },
      payload: { inputs: "!crash" },
    });
    assert.equal(plain.lines.filter((line) => line["request_id"] === "lines").length, 2, "the failure and the answer");
  });
});

describe("unknown routes", () => {
  test("are a 404 with the nearest path", async () => {
    assert.deepEqual((await get("/generat")).body, {
      error: "no such path (did you mean /generate?)",
      error_type: "not_found",
    });
    assert.equal((await get("/zzzzzzzzzzzz")).body["error"], "no such path");
    for (const path of ["/models", "/v1/models", "/generations", "/v2/models"]) {
      assert.equal((await get(`${path}/${"0".repeat(5000)}`)).status, 404, path);
    }
  });

  test("a wrong method is a 405 with Allow", async () => {
    const { status, headers, body } = await get("/generate");
    assert.deepEqual([status, headers["allow"]], [405, "POST"]);
    assert.match(body["error"], /GET is not for this path: POST/u);
    const posted = await plain.app.inject({ method: "POST", url: "/models/echo?x=1", payload: {} });
    assert.deepEqual([posted.statusCode, posted.headers["allow"]], [405, "GET, HEAD"]);
    // Before anything is said of a body that this path never takes.
    const query = await plain.app.inject({ method: "QUERY" as "GET", url: "/models" });
    assert.deepEqual([query.statusCode, query.headers["allow"]], [405, "GET, HEAD"]);
    assert.equal(typeof query.headers["x-request-id"], "string");
    const xml = { "content-type": "application/xml" };
    const put = await plain.app.inject({ method: "PUT", url: "/models", headers: xml, payload: "<a/>" });
    assert.deepEqual([put.statusCode, put.headers["allow"]], [405, "GET, HEAD"]);
    const nowhere = await plain.app.inject({ method: "POST", url: "/generat", headers: xml, payload: "<a/>" });
    assert.equal(nowhere.statusCode, 404);
  });
});

describe("keys", () => {
  const call = async (server: TestServer, authorization?: string) =>
    server.app.inject({
      method: "POST",
      url: "/generate",
      payload: { inputs: "hi" },
      ...(authorization === undefined ? {} : { headers: { authorization } }),
    });

  test("one of API_KEYS must come as Bearer where texts are handled, and only there", async () => {
    await withServer({ config: { apiKeys: ["first", "second"] } }, async (server) => {
      for (const wrong of [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        "Bearer firs",
        "Bearer first2",
        "Basic first",
        "first",
      ]) {
        const { statusCode, headers, body } = await call(server, wrong);
        assert.equal(statusCode, 401, String(wrong));
        assert.equal(headers["www-authenticate"], "Bearer");
        assert.equal((JSON.parse(body) as { error_type: string }).error_type, "unauthorized");
      }
      assert.equal((await call(server, "Bearer first")).statusCode, 200);
      assert.equal((await call(server, "bearer second")).statusCode, 200);
      for (const url of ["/tokenize", "/detokenize", "/generate_stream"]) {
        assert.equal((await server.app.inject({ method: "POST", url, payload: {} })).statusCode, 401, url);
      }
      for (const url of ["/", "/models", "/info", "/health", "/health/ready", "/metrics", "/openapi.json"]) {
        assert.equal((await server.app.inject({ url })).statusCode, 200, url);
      }
      assert.ok(!JSON.stringify(server.lines).includes("first"), "keys are not logged");
    });
  });

  test("without API_KEYS the server is open", async () => {
    assert.equal((await call(plain)).statusCode, 200);
  });
});

describe("origins", () => {
  const preflight = {
    method: "OPTIONS",
    url: "/generate",
    headers: { origin: "https://a.example", "access-control-request-method": "POST" },
  } as const;

  test("named ones may read and send, others not", async () => {
    await withServer({ config: { corsOrigin: ["https://a.example"], apiKeys: ["k"] } }, async ({ app }) => {
      const allowed = await app.inject(preflight);
      assert.equal(allowed.statusCode, 204);
      assert.equal(allowed.headers["access-control-allow-origin"], "https://a.example");
      assert.match(String(allowed.headers["access-control-allow-headers"]), /authorization, content-type/u);
      const other = await app.inject({ url: "/models", headers: { origin: "https://b.example" } });
      assert.equal(other.headers["access-control-allow-origin"], undefined);
      assert.equal(other.headers["vary"], "origin");
    });
  });

  test("* allows all; unset allows none", async () => {
    await withServer({ config: { corsOrigin: ["*"] } }, async ({ app }) => {
      assert.equal((await app.inject(preflight)).headers["access-control-allow-origin"], "*");
    });
    assert.equal((await plain.app.inject(preflight)).statusCode, 405);
  });

  test("streams carry the headers too", async () => {
    await withServer({ config: { corsOrigin: ["*"] } }, async ({ app }) => {
      const response = await app.inject({
        method: "POST",
        url: "/generate",
        headers: { origin: "https://a.example" },
        payload: { inputs: "hi", stream: true },
      });
      assert.equal(response.headers["access-control-allow-origin"], "*");
      assert.ok(response.headers["x-request-id"]);
      assert.equal(wireEvents(response.body).length, 3);
    });
  });
});

describe("models and health", () => {
  test("/ answers probes, /models and /info tell what is loaded", async () => {
    assert.equal((await get("/")).body["name"], "seqserve");
    const { body } = await get("/models");
    assert.equal(body["default"], "echo");
    assert.deepEqual(body["models"][0].limits, { max_input_tokens: 100, max_new_tokens: 512, max_beams: 16 });
    assert.equal((await get("/models/echo")).body["device"], "cpu");
    const info = (await get("/info")).body;
    assert.deepEqual([info["model_id"], info["router"], info["max_total_tokens"]], ["echo", "seqserve", 612]);
  });

  test("an unknown model is a 404 with the nearest name", async () => {
    const { status, body } = await get("/models/ecko");
    assert.deepEqual(
      [status, body],
      [404, { error: "name: no such model (did you mean echo?)", error_type: "not_found", field: "name" }],
    );
  });

  test("ready follows the models: loading, ready, failed", async () => {
    let loaded = (): void => undefined;
    const inference = new ScriptedInference(
      [modelInfo({ state: "loading" })],
      new Promise((resolve) => (loaded = resolve)),
    );
    await withServer({ inference }, async ({ app }) => {
      const ready = async () => {
        const response = await app.inject({ url: "/health/ready" });
        return [response.statusCode, (JSON.parse(response.body) as { status: string }).status];
      };
      assert.deepEqual(await ready(), [503, "loading"]);
      assert.equal((await app.inject({ url: "/health/live" })).statusCode, 200);
      loaded();
      inference.infos = [
        modelInfo(),
        modelInfo({ name: "broken", state: "failed", error: "no decoder", isDefault: false }),
      ];
      assert.deepEqual(await ready(), [200, "ready"], "one model that works is enough");
      inference.infos = [modelInfo({ state: "failed", error: "no decoder" })];
      assert.deepEqual(await ready(), [503, "failed"]);
      const health = await app.inject({ url: "/health" });
      assert.equal(health.statusCode, 503);
      assert.deepEqual((JSON.parse(health.body) as Record<string, unknown>)["models"], { echo: "failed" });
    });
  });

  test("the device and why not CUDA are in /info and /health", async () => {
    const device = { device: "cpu", reason: "driver", why: "no CUDA: the driver is missing" } as const;
    const shown = { name: "cpu", reason: "driver", why: device.why };
    await withServer({ device }, async ({ app }) => {
      for (const url of ["/info", "/health", "/health/ready"]) {
        const body = JSON.parse((await app.inject({ url })).body) as Record<string, unknown>;
        assert.deepEqual(body["device"], shown, url);
      }
    });
    assert.equal((await get("/info")).body["device"], null, "a process without engines has none");
    assert.equal((await get("/health/ready")).body["device"], undefined);
  });

  test("tokenize and detokenize", async () => {
    const tokens = await plain.app.inject({ method: "POST", url: "/tokenize", payload: { inputs: "ab c" } });
    assert.deepEqual(JSON.parse(tokens.body), [
      { id: 3, text: "ab", start: 0, stop: 2, special: false },
      { id: 4, text: "c", start: 3, stop: 4, special: false },
    ]);
    const detokenize = async (payload: object) => {
      const response = await plain.app.inject({ method: "POST", url: "/detokenize", payload });
      return [response.statusCode, JSON.parse(response.body)] as const;
    };
    assert.deepEqual(await detokenize({ ids: [1, 5] }), [200, { text: "w5" }]);
    assert.deepEqual(await detokenize({ ids: [1, 5], skip_special_tokens: false }), [200, { text: "</s> w5" }]);
    const [status, body] = await detokenize({ ids: [1, -5] });
    assert.deepEqual([status, (body as { field: string }).field], [422, "ids[1]"]);
  });
});

describe("metrics", () => {
  test("are on the main port, or only on METRICS_PORT", async () => {
    const response = await plain.app.inject({ url: "/metrics" });
    assert.match(String(response.headers["content-type"]), /^text\/plain; version=0\.0\.4/u);
    assert.match(
      response.body,
      /seqserve_http_request_duration_seconds_bucket\{le="0.001",route="\/models",method="GET",status_class="2xx"\}/u,
    );
    await withServer({ config: { metricsPort: 9464 } }, async (server) => {
      assert.equal((await server.app.inject({ url: "/metrics" })).statusCode, 404);
      const own = buildMetricsApp(createLog(server.config, { write: () => undefined }), server.metrics);
      assert.match((await own.inject({ url: "/metrics" })).body, /seqserve_build_info/u);
      await own.close();
    });
  });

  test("labels stay few whatever clients send", async () => {
    await withServer({}, async ({ app, metrics }) => {
      for (let i = 0; i < 50; i++) await app.inject({ url: `/x${i}?y=${i}` });
      const series = (await metrics.text())
        .split("\n")
        .filter((line) => line.startsWith("seqserve_http_request_duration_seconds_count"));
      assert.equal(series.length, 1);
      assert.match(series[0]!, /route="unknown",method="GET",status_class="4xx"\} 50/u);
    });
  });
});

test("logs never hold texts, at any level", async () => {
  await withServer({}, async (server) => {
    const secret = "tellnoone";
    const bodies: object[] = [
      { inputs: secret },
      { inputs: secret, stream: true },
      { inputs: `${secret} !fail` },
      { inputs: `${secret} !crash` },
      { inputs: secret, parameters: { stop: [secret, 5] } },
      { inputs: [secret, ""] },
      { [secret]: 1, inputs: secret },
      { inputs: secret, model: secret },
    ];
    for (const payload of bodies) await server.app.inject({ method: "POST", url: `/generate?${secret}`, payload });
    await server.app.inject({
      method: "POST",
      url: "/generate",
      headers: { "content-type": "application/json" },
      payload: `{"inputs": "${secret}`,
    });
    await server.app.inject({ method: "POST", url: "/tokenize", payload: { inputs: secret } });
    assert.ok(server.lines.length > 10);
    assert.ok(
      !JSON.stringify(server.lines).includes(secret),
      JSON.stringify(server.lines.find((line) => JSON.stringify(line).includes(secret))),
    );
  });
});

describe("the OpenAPI document", async () => {
  const document = (await get("/openapi.json")).body;

  test("is 3.1, has every public route, and every error answer with the shared shape", () => {
    assert.equal(document["openapi"], "3.1.0");
    assert.deepEqual(Object.keys(document["paths"]).sort(), [
      "/",
      "/detect",
      "/detokenize",
      "/explain",
      "/generate",
      "/generate_stream",
      "/generations",
      "/generations/{id}",
      "/generations/{id}/events",
      "/health",
      "/health/live",
      "/health/ready",
      "/info",
      "/languages",
      "/metrics",
      "/models",
      "/models/{name}",
      "/tokenize",
      "/translate",
      "/v1/chat/completions",
      "/v1/completions",
      "/v1/models",
      "/v1/models/{id}",
      "/v2",
      "/v2/health/live",
      "/v2/health/ready",
      "/v2/models/{model}",
      "/v2/models/{model}/generate",
      "/v2/models/{model}/generate_stream",
      "/v2/models/{model}/ready",
      "/v2/models/{model}/versions/{version}",
      "/v2/models/{model}/versions/{version}/generate",
      "/v2/models/{model}/versions/{version}/generate_stream",
      "/v2/models/{model}/versions/{version}/ready",
    ]);
    for (const name of ["Parameters", "GenerateRequest", "Generation", "TokenEvent", "EndEvent", "Error", "Model"]) {
      assert.ok(document["components"].schemas[name], name);
    }
  });

  test("is there as YAML, and as Swagger UI", async () => {
    const yaml = await plain.app.inject({ url: "/openapi.yaml" });
    assert.match(yaml.body, /^openapi: 3\.1\.0/u);
    assert.doesNotMatch(yaml.body, /: &a\d/u, "no anchors");
    const page = await plain.app.inject({ url: "/docs/" });
    assert.equal(page.statusCode, 200);
    assert.match(page.body, /swagger-ui/u);
  });

  test("says the truth about answers", async () => {
    const ajv = new Ajv({ strict: false });
    for (const [name, schema] of Object.entries(document["components"].schemas as Record<string, object>)) {
      ajv.addSchema(JSON.parse(JSON.stringify(schema).replaceAll("#/components/schemas/", "")) as object, name);
    }
    const conforms = (name: string, value: unknown) =>
      assert.ok(ajv.validate({ $ref: name }, value), `${name}: ${ajv.errorsText()} ${JSON.stringify(value)}`);
    const all = { details: true, decoder_input_details: true, top_n_tokens: 2, attention: true };
    const json = async (parameters: object) =>
      JSON.parse(
        (await plain.app.inject({ method: "POST", url: "/generate", payload: { inputs: "hi", parameters } })).body,
      ) as unknown;
    conforms("Generation", await json({}));
    conforms("Generation", await json(all));
    conforms("Generation", await json({ ...all, best_of: 2, do_sample: true }));
    const stream = await plain.app.inject({
      method: "POST",
      url: "/generate",
      payload: { inputs: ["hi"], stream: true, parameters: { details: true, top_n_tokens: 2 } },
    });
    for (const { event, data } of wireEvents(stream.body)) conforms(event === "end" ? "EndEvent" : "TokenEvent", data);
    const explained = { method: "POST", url: "/explain", payload: { inputs: "hi you" } } as const;
    conforms("Explanation", JSON.parse((await plain.app.inject(explained)).body));
    conforms("Error", (await get("/nowhere")).body);
    conforms("Model", (await get("/models/echo")).body);
    for (const body of [
      { inputs: "a" },
      { inputs: ["a"], parameters: { stop: "x", early_stopping: "never", sequence_bias: [[[1], 2]] } },
    ])
      conforms("GenerateRequest", body);
  });
});
