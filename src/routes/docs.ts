// The OpenAPI document, made from the route schemas, and Swagger UI over it. Registered before all routes: it collects them.
import type { FastifySchema } from "fastify";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { App } from "./http/app.js";

export async function collectDocument(app: App, version: string, wantsKeys: boolean): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "seqserve",
        version,
        description: "The server for exported encoder-decoder ONNX models.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: "/", description: "The server that this document came from" }],
      components: {
        securitySchemes: { key: { type: "http", scheme: "bearer", description: "One of API_KEYS, when set." } },
      },
      tags: [
        { name: "generate", description: "Text in, text out" },
        { name: "durable", description: "Generations that outlive their request: start, look up, follow, cancel" },
        { name: "compatible", description: "The same generations in the shapes of other servers' clients" },
        { name: "tokens", description: "Text to ids and back" },
        { name: "models", description: "What is loaded" },
        { name: "health", description: "Probes and metrics" },
      ],
    },
    // `keyed` says that a key may be sent; where the server has some it must be.
    transform: ({ schema, url }) => ({ url, schema: wantsKeys ? withKeys(schema) : schema }),
    // A copy without shared objects: YAML would write those as anchors.
    transformObject: (document) =>
      "openapiObject" in document ? plainCopy(document.openapiObject) : document.swaggerObject,
    convertConstToEnum: false,
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json["$id"] ?? `def-${i}`) },
  });
}

export async function documentRoutes(app: App): Promise<void> {
  const hidden = { schema: { hide: true } };
  app.get("/openapi.json", hidden, async () => app.swagger());
  app.get("/openapi.yaml", hidden, async (_request, reply) => {
    return reply.type("application/yaml; charset=utf-8").send(app.swagger({ yaml: true }));
  });
  await app.register(swaggerUi, { routePrefix: "/docs", uiConfig: { deepLinking: true, tryItOutEnabled: true } });
}

function withKeys(schema: FastifySchema): FastifySchema {
  const security = schema.security?.filter((one) => Object.keys(one).length > 0);
  return security === undefined ? schema : { ...schema, security };
}

function plainCopy<T>(document: T): T {
  return JSON.parse(JSON.stringify(document)) as T;
}
