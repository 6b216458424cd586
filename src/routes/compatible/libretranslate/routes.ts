// LibreTranslate's surface: POST /translate (JSON or a form), GET /languages, POST /detect.
import type { FastifyRequest } from "fastify";
import { AppError } from "../../../errors.js";
import { keyCheck } from "../../http/hooks.js";
import type { RouteParts } from "../../route-parts.js";
import { described, errorAnswers, keyed, open, ref } from "../../http/schemas.js";
import { serve } from "../translation.js";
import { servedCandidates, loadDetector } from "./detector.js";
import { languageList, sourceLanguages } from "./languages.js";
import {
  DetectAnswerSchema,
  DetectRequestSchema,
  LanguagesSchema,
  TranslateAnswerSchema,
  TranslateRequestSchema,
} from "./schemas.js";
import { LibreTranslation } from "./translation.js";
import type { App } from "../../http/app.js";

const tags = ["compatible"];

/** In a scope of its own: nothing else here takes forms, or keys in the body. */
export async function libreTranslateRoutes(app: App, parts: RouteParts): Promise<void> {
  const { config, inference } = parts;
  const detect = await loadDetector(config.languageDetector);
  for (const schema of [TranslateRequestSchema, TranslateAnswerSchema]) app.addSchema(schema);
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (_: unknown, body: string) => parseForm(body),
  );
  const check = keyCheck(config.apiKeys);
  if (check !== null) app.addHook("preValidation", async (request) => check(withBodyKey(request)));
  app.post(
    "/translate",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "translate",
        summary: "LibreTranslate: translate",
        description: "By the first served model that declares both languages. Also as a form.",
        body: ref(TranslateRequestSchema),
        response: {
          200: described(ref(TranslateAnswerSchema), "Translated"),
          ...errorAnswers(400, 401, 413, 415, 422, 424, 429, 500, 501, 503, 504),
        },
      },
    },
    async (request, reply) => {
      const read = () => new LibreTranslation(request.body, inference.models(), config.maxInputs, detect);
      return serve(parts, { request, reply }, clientName, read);
    },
  );
  app.post(
    "/detect",
    {
      schema: {
        operationId: "detectLanguage",
        tags,
        security: keyed,
        summary: "LibreTranslate: detect a language",
        description: "Among the languages that served models translate from. Needs LANGUAGE_DETECTOR.",
        body: DetectRequestSchema,
        response: {
          200: described(DetectAnswerSchema, "Likeliest first"),
          ...errorAnswers(400, 401, 413, 415, 422, 500, 501, 503),
        },
      },
    },
    async ({ body }) => {
      if (detect === null) {
        throw new AppError("not_implemented", "no language detector is configured (LANGUAGE_DETECTOR)");
      }
      return servedCandidates(detect(body.q), sourceLanguages(inference.models()));
    },
  );
}

/** Open, as /models is. */
export function languagesRoute(app: App, { inference }: RouteParts): void {
  app.get(
    "/languages",
    {
      schema: {
        tags,
        security: open,
        operationId: "listLanguages",
        summary: "LibreTranslate: languages",
        response: { 200: described(LanguagesSchema, "Each source language and what it can become") },
      },
    },
    async () => languageList(inference.models()),
  );
}

const names: Readonly<Record<string, string>> = {
  "parameters.src_lang": "source",
  "parameters.tgt_lang": "target",
  "parameters.num_beams": "alternatives",
  "parameters.num_return_sequences": "alternatives",
};

function clientName(field: string): string {
  return names[field] ?? field.replace(/^inputs\b/u, "q");
}

// Forms know only text; a name that comes several times is a list.
function parseForm(body: string): object {
  const form = new URLSearchParams(body);
  const entries = [...new Set(form.keys())].map((name): [string, unknown] => {
    const [first = "", ...others] = form.getAll(name);
    if (name === "alternatives" && /^\d{1,3}$/u.test(first)) return [name, Number(first)];
    return [name, others.length === 0 ? first : [first, ...others]];
  });
  return Object.fromEntries(entries);
}

function withBodyKey({ headers, body }: FastifyRequest): Pick<FastifyRequest, "headers"> {
  const key = typeof body === "object" && body !== null && "api_key" in body ? body.api_key : undefined;
  if (typeof key !== "string" || headers.authorization !== undefined) return { headers };
  return { headers: { ...headers, authorization: `Bearer ${key}` } };
}
