// Exactly transformers.generate: every oracle case of every folder in test/zoo (or ZOO_DIR), through HTTP, many at once.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { withoutPadding } from "../../support/models/oracle-requests.js";

const zoo = process.env["ZOO_DIR"] ?? "test/zoo";
const folders = readdirSync(zoo).filter((name) => existsSync(join(zoo, name, "oracle.json")));
const tolerance = 1e-4;

interface Case {
  readonly text: string;
  readonly input_ids: readonly number[];
  readonly config: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly sequences: readonly (readonly number[])[];
  readonly texts: readonly string[];
  readonly sequences_scores?: readonly number[];
  readonly logprobs?: readonly (readonly number[])[] | readonly number[];
}

interface Oracle {
  readonly tokenize: readonly { text: string; ids: readonly number[] }[];
  readonly detokenize: readonly { ids: readonly number[]; text: string }[];
  readonly generate: readonly Case[];
  readonly cross_attention: readonly AttentionCase[];
}

interface AttentionCase {
  readonly text: string;
  readonly input_ids: readonly number[];
  readonly decoder_input_ids: readonly number[];
  /** [layer][target][source] */
  readonly mean_heads_by_layer: readonly (readonly (readonly number[])[])[];
}

interface Answer {
  readonly error?: string;
  readonly outputs: readonly { text: string; ids: readonly number[]; score: number | null }[];
  readonly details: { tokens: readonly { id: number; logprob: number | null }[] };
}

let server: RunningServer;
before(async () => {
  server = await startServer({
    MODELS_DIR: zoo,
    MAX_QUEUED_REQUESTS: "1000",
    DTYPE: process.env["ZOO_DTYPE"] ?? "auto",
  });
});
after(() => server.stop());

async function post<T>(path: string, body: object): Promise<T> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** Runs `check` over all items, 32 at a time; collects what went wrong rather than stopping at the first. */
async function checkAll<T>(items: readonly T[], check: (item: T) => Promise<string | null>): Promise<void> {
  const failures: string[] = [];
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const failure = await check(items[next++]!);
      if (failure !== null) failures.push(failure);
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  assert.equal(failures.length, 0, `${failures.length} of ${items.length} differ\n${failures.slice(0, 12).join("\n")}`);
}

function setsLength(config: Readonly<Record<string, unknown>>): boolean {
  return config["max_length"] !== undefined || config["max_new_tokens"] !== undefined;
}

function closeTo(actual: readonly (number | null)[], expected: readonly number[]): boolean {
  return expected.every((value, i) => Math.abs(value - (actual[i] ?? Number.NaN)) <= tolerance);
}

for (const name of folders) {
  const folder = join(zoo, name);
  const oracle = JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Oracle;
  const generation = JSON.parse(readFileSync(join(folder, "generation_config.json"), "utf8")) as Record<
    string,
    unknown
  >;
  const padded = {
    pad_token_id: Number(generation["pad_token_id"]),
    eos_token_id: Number([generation["eos_token_id"]].flat()[0]),
  };

  test(`${name}: ${oracle.generate.length} generate cases give transformers' tokens, texts, scores and log-probabilities`, async () => {
    await checkAll(oracle.generate, async (one) => {
      const length = setsLength(one.params) || setsLength(generation) ? {} : { max_length: 20 };
      const parameters = { ...one.params, ...length, details: true };
      const answer = await post<Answer>("/generate", { model: name, inputs: one.text, parameters });
      const label = `${one.config} ${JSON.stringify(one.params)} "${one.text}":`;
      if (answer.error !== undefined) return `${label} ${answer.error}`;
      const ids = JSON.stringify(answer.outputs.map((output) => output.ids));
      const expected = JSON.stringify(one.sequences.map((ids) => withoutPadding(ids, padded)));
      if (ids !== expected) return `${label} ids ${ids}, expected ${expected}`;
      const texts = JSON.stringify(answer.outputs.map((output) => output.text));
      if (texts !== JSON.stringify(one.texts)) return `${label} texts ${texts}, expected ${JSON.stringify(one.texts)}`;
      if (
        !closeTo(
          answer.outputs.map((output) => output.score),
          one.sequences_scores ?? [],
        )
      ) {
        return `${label} scores ${answer.outputs.map((output) => output.score)}, expected ${one.sequences_scores}`;
      }
      const logprobs = answer.details.tokens.map((token) => token.logprob);
      const [first = one.logprobs] = (one.logprobs ?? []) as (readonly number[])[];
      const wanted = Array.isArray(first) ? first : ((one.logprobs ?? []) as readonly number[]);
      if (!closeTo(logprobs, wanted)) return `${label} logprobs ${logprobs}, expected ${wanted}`;
      return null;
    });
  });

  test(`${name}: attention is transformers' cross-attention of the layer and heads that /models names`, async () => {
    const { attention, graphs } = (await (await fetch(`${server.url}/models/${name}`)).json()) as {
      attention: boolean;
      graphs: { attention: { layer: number; heads: number[] } };
    };
    assert.ok(attention);
    assert.deepEqual(graphs.attention, { layer: 1, heads: graphs.attention.heads.map((_, head) => head) });
    await checkAll(oracle.cross_attention, async ({ text, decoder_input_ids, mean_heads_by_layer }) => {
      const output = decoder_input_ids.slice(1);
      const explained = await post<{ attention: number[][] }>("/explain", { model: name, inputs: text, output });
      const expected = mean_heads_by_layer[graphs.attention.layer]!.slice(0, output.length);
      const isNear = expected.every((weights, t) =>
        weights.every((weight, s) => Math.abs(weight - (explained.attention[t]![s] ?? 0)) <= 2e-3),
      );
      return isNear ? null : `${text}: ${JSON.stringify(explained.attention)}, expected ${JSON.stringify(expected)}`;
    });
  });

  test(`${name}: ${oracle.tokenize.length} texts have the tokenizer's own ids`, async () => {
    await checkAll(oracle.tokenize, async ({ text, ids }) => {
      if (text === "") return null;
      const tokens = await post<{ id: number }[]>("/tokenize", { model: name, inputs: text });
      const found = JSON.stringify(Array.isArray(tokens) ? tokens.map((token) => token.id) : tokens);
      return found === JSON.stringify(ids)
        ? null
        : `${JSON.stringify(text)}: ${found}, expected ${JSON.stringify(ids)}`;
    });
  });

  test(`${name}: ${oracle.detokenize.length} id lists have the tokenizer's own text`, async () => {
    await checkAll(oracle.detokenize, async ({ ids, text }) => {
      const answer = await post<{ text: string }>("/detokenize", { model: name, ids, skip_special_tokens: true });
      return answer.text === text
        ? null
        : `${JSON.stringify(ids)}: ${JSON.stringify(answer)}, expected ${JSON.stringify(text)}`;
    });
  });
}
