// Shapes of LibreTranslate's surface.
import { Type, type Static } from "typebox";

const language = (description: string) =>
  Type.Unsafe<string | string[]>({
    type: ["string", "array"],
    minLength: 1,
    maxLength: 64,
    minItems: 1,
    maxItems: 1024,
    items: { type: "string", minLength: 1, maxLength: 64 },
    description,
  });

const apiKey = Type.Optional(
  Type.Unsafe<string>({
    type: ["string", "null"],
    maxLength: 1024,
    description: "One of API_KEYS, instead of the header.",
  }),
);

export const TranslateRequestSchema = Type.Object(
  {
    q: Type.Unsafe<string | string[]>({
      type: ["string", "array"],
      minLength: 1,
      minItems: 1,
      maxItems: 1024,
      items: { type: "string", minLength: 1 },
      description:
        "A text, or several: all in one batch. What is longer than the model takes is translated sentence by sentence.",
    }),
    source: language(
      'Language of the text: a code or a name of /languages, or "auto" where LANGUAGE_DETECTOR is set. One, or one for each text.',
    ),
    target: language("Language to translate into. One, or one for each text."),
    format: Type.Optional(Type.Unsafe<string>({ enum: ["text", null], description: "Only text." })),
    alternatives: Type.Optional(
      Type.Unsafe<number>({
        type: ["integer", "null"],
        minimum: 0,
        maximum: 63,
        description:
          "So many more translations: a search with one beam for each. Not for texts that are longer than the model takes.",
      }),
    ),
    api_key: apiKey,
  },
  {
    $id: "TranslateRequest",
    additionalProperties: false,
    examples: [{ q: "How are you?", source: "en", target: "de" }],
  },
);
export type TranslateBody = Static<typeof TranslateRequestSchema>;

const DetectedSchema = Type.Object({
  confidence: Type.Number({ description: "0 to 100: how well the text fits the language; no probability." }),
  language: Type.String(),
});

const texts = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };

export const TranslateAnswerSchema = Type.Object(
  {
    translatedText: Type.Unsafe<unknown>({ ...texts, description: "An array where `q` was one." }),
    alternatives: Type.Optional(
      Type.Unsafe<unknown>({ type: "array", items: texts, description: "For each text, where `q` was an array." }),
    ),
    detectedLanguage: Type.Optional(
      Type.Unsafe<unknown>({
        anyOf: [DetectedSchema, { type: "array", items: { anyOf: [DetectedSchema, { type: "null" }] } }],
        description: 'With "auto". For each text where `q` was an array; null where its language was named.',
      }),
    ),
  },
  { $id: "TranslateAnswer" },
);

export const LanguagesSchema = Type.Array(
  Type.Object({ code: Type.String(), name: Type.String(), targets: Type.Array(Type.String()) }),
);

export const DetectRequestSchema = Type.Object({ q: Type.String({ minLength: 1 }), api_key: apiKey });
export const DetectAnswerSchema = Type.Array(DetectedSchema, { description: "Best first." });
