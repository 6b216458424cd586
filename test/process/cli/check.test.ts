// `seqserve check`: every healthy folder is described as it is, every broken one refused in one line. Two processes show what goes to which
// stream, with which exit code; the rest calls check() in this one.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync, copyFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { check } from "../../../src/cli/check.js";
import { readCommand } from "../../../src/config/config.js";
import { brokenFolders, copyPair, copyTransformer } from "../../support/models/broken-folders.js";
import { runCommand, type Ended } from "../../support/servers/command.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-check-"));
const environment = { CACHE_DIR: join(home, "cache"), MODELS_DIR: "/does/not/exist", THREADS: "1" };
after(() => rmSync(home, { recursive: true, force: true }));

interface Body {
  readonly state: string;
  readonly error: string | null;
  readonly layout: string;
  readonly family: string | null;
  readonly dtype: string;
  readonly tokenizer: { source: string; target: string } | null;
  readonly file_sizes: { role: string; file: string; bytes: number }[] | null;
  readonly graphs: {
    rewritten: boolean;
    reason: string | null;
    batching: string;
    bit_equal: boolean | null;
    attention: { layer: number; heads: number[] } | null;
  } | null;
  readonly int8_agreement: { tokens: number; same: number } | null;
  readonly row_memory: { bytes_per_target_token: number; bytes_per_source_token: number } | null;
  readonly languages: { source: string[]; target: string[] };
  readonly vocab_size: number;
  readonly draft: { text: string } | null;
}

async function runCheck(...args: string[]): Promise<Ended> {
  const command = readCommand(["check", ...args], environment);
  assert.ok(command.kind === "check");
  const seen = { out: "", err: "" };
  const code = await check(command, {
    print: async (text) => void (seen.out += text),
    printError: (text) => (seen.err += text),
    note: () => undefined,
  });
  return { ...seen, code };
}

async function readReport(folder: string, ...more: string[]): Promise<Body> {
  const { out, err, code } = await runCheck(folder, "--json", ...more);
  assert.equal(code, 0, err);
  assert.equal(err, "");
  return JSON.parse(out) as Body;
}

const merged = ["encoder", "merged"];
const split = ["encoder", "decoder", "decoderWithPast"];
const nllb = ["eng_Latn", "deu_Latn", "fra_Latn", "zho_Hans"];
const none = { source: [], target: [] };
type Expected = [
  folder: string,
  family: string | null,
  roles: string[],
  tokenizer: string,
  row: number | null,
  Body["languages"],
];

/** What the folders' own files say: 2 · layers · heads · head width · 4 bytes a token. */
const healthy: Expected[] = [
  ["test/zoo/bart", "bart", split, "tokenizer.json (BPE)", 512, none],
  [
    "test/zoo/marian",
    "marian",
    split,
    "source.spm, target.spm with vocab.json (Marian)",
    512,
    { source: [], target: ["deu", "fra"] },
  ],
  ["test/zoo/nllb", "m2m_100", merged, "tokenizer.json (Unigram)", 512, { source: nllb, target: nllb }],
  ["test/zoo/t5", "t5", merged, "tokenizer.json (Unigram)", 512, none],
  ["models/itn-en", "t5", merged, "tokenizer.json (BPE)", 2048, none],
  ["models/g2p-en", null, ["encoder", "decoder"], "vocabulary list (characters)", null, none],
];

describe("healthy folders", () => {
  test("none of the zoo and the shipped ones is forgotten", () => {
    const zoo = readdirSync("test/zoo", { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const shipped = readdirSync("models", { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const all = [...zoo.map(({ name }) => `test/zoo/${name}`), ...shipped.map(({ name }) => `models/${name}`)];
    assert.deepEqual(all.sort(), healthy.map(([folder]) => folder).sort());
  });

  for (const [folder, family, roles, tokenizer, row, languages] of healthy) {
    test(folder, async () => {
      const body = await readReport(folder);
      const isTransformer = family !== null;
      assert.equal(body.state, "ready");
      assert.equal(body.layout, isTransformer ? "transformer" : "recurrent");
      assert.equal(body.family, family);
      assert.equal(body.dtype, isTransformer ? "fp32" : "int8");
      assert.deepEqual(
        body.file_sizes?.map(({ role }) => role),
        roles,
      );
      for (const { file, bytes } of body.file_sizes ?? []) assert.equal(bytes, statSync(join(folder, file)).size);
      assert.deepEqual([body.tokenizer?.source, body.tokenizer?.target], [tokenizer, tokenizer]);
      assert.deepEqual(body.languages, languages);
      const attention = { layer: 1, heads: body.graphs?.attention?.heads };
      assert.deepEqual(
        body.graphs,
        isTransformer ? { rewritten: true, reason: null, batching: "any_age", bit_equal: true, attention } : null,
      );
      assert.equal(body.row_memory?.bytes_per_target_token ?? null, row);
      assert.ok(body.vocab_size > 50);
    });
  }

  test("DTYPE counts: int8 is made and held against fp32", async () => {
    const body = await readReport("test/zoo/t5", "--dtype", "int8");
    assert.equal(body.dtype, "int8");
    assert.ok((body.int8_agreement?.tokens ?? 0) > 0);
  });

  test("for people: the same in lines", async () => {
    const { out, err, code } = await runCommand(["check", "test/zoo/nllb"], environment);
    assert.equal(code, 0, err);
    for (const line of [
      /^nllb {2}transformer · m2m_100 · fp32 · cpu$/mu,
      /^ {2}files +encoder: onnx\/encoder_model\.onnx, 180\.6 KB$/mu,
      /^ {2}tokenizer +tokenizer\.json \(Unigram\)$/mu,
      /^ {2}languages +from eng_Latn, deu_Latn, fra_Latn, zho_Hans$/mu,
      /^ {2}graphs +rewritten at load$/mu,
      /^ +self-check: the same bits in any company$/mu,
      /^ +attention of layer 1, heads 0, 1, 2, 3$/mu,
      /^ {2}row memory +512 bytes a target token, 512 bytes a source token$/mu,
      /^ {2}notes +fp32 files: DTYPE auto takes the exact files; also there: quantized$/mu,
    ])
      assert.match(out, line);
  });
});

describe("broken folders", () => {
  const modelsDir = join(home, "models");
  before(() => {
    mkdirSync(modelsDir);
    copyTransformer(join(home, "outside", "t5"));
    copyPair(join(home, "outside", "g2p"));
  });

  // One of every kind; test/oracle/broken-folders.test.ts has them all.
  const names = [
    "t5-no-encoder",
    "t5-no-decoder",
    "t5-no-tokenizer",
    "t5-empty-config",
    "t5-fifo-encoder",
    "t5-symlink-out",
    "t5-onnx-link-out",
    "t5-truncated",
    "t5-lfs-pointer",
    "t5-custom-op",
    "t5-tokenizer-of-another",
    "t5-no-start",
    "t5-config-not-json",
    "g2p-external-missing",
    "g2p-cycle",
    "g2p-long-source",
    "g2p-huge-allocation",
    "g2p-not-a-number",
    "g2p-short-vocabulary",
    "g2p-typo",
    "g2p-file-absolute",
  ];
  for (const name of names) {
    test(name, async () => {
      const broken = brokenFolders.find((folder) => folder.name === name);
      assert.ok(broken, name);
      broken.make(modelsDir);
      const { out, err, code } = await runCheck(join(modelsDir, name));
      assert.deepEqual([code, out], [1, ""], err);
      assert.match(err, /^seqserve: [^\n]+\n$/u);
      assert.match(err.trimEnd(), broken.says);
    });
  }

  test("as JSON: the same line in `error`, and exit code 1 as well", async () => {
    const { out, err, code } = await runCheck(join(modelsDir, "t5-no-encoder"), "--json");
    assert.deepEqual([code, err], [1, ""]);
    const body = JSON.parse(out) as Body;
    assert.equal(body.state, "failed");
    assert.match(body.error ?? "", /expected encoder_model\.onnx/u);
    assert.deepEqual([body.family, body.file_sizes, body.tokenizer], [null, null, null]);
  });

  test("graphs without a manifest: the line, then a draft", async () => {
    const folder = join(home, "pair");
    mkdirSync(folder);
    for (const file of ["encoder_int8.onnx", "decoder_int8.onnx", "source.txt", "target.txt"])
      copyFileSync(join("models/g2p-en", file), join(folder, file));
    const { out, err, code } = await runCommand(["check", folder], environment);
    assert.equal(code, 1);
    assert.match(err, /^seqserve: [^\n]*seqserve\.json[^\n]*\n$/u);
    assert.match(out, /a draft of its seqserve\.json, to be checked:\n[^]*"decoder": \{[^]*unsure of\n/u);
    const json = await runCheck(folder, "--json");
    assert.ok(JSON.parse((JSON.parse(json.out) as Body).draft?.text ?? ""));
  });

  test("no folder, a file, nothing named", async () => {
    const file = join(home, "file");
    writeFileSync(file, "");
    const refusal = (...args: string[]) =>
      runCheck(...args).then(
        () => assert.fail("it was accepted"),
        (error: Error) => error.message,
      );
    assert.equal(await refusal(join(home, "gone")), `${join(home, "gone")}: no such folder`);
    assert.equal(await refusal(file), `${file}: expected a folder, found a file`);
    assert.equal(await refusal(), "check: needs folder");
    assert.match(await refusal("a", "b"), /^"b": one folder only/u);
  });
});
