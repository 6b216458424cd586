// Pulling from a stand-in of the Hub: the right files, goes on after cuts, checksums, all or nothing, one line for what can't be.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { pathsInfo } from "@huggingface/hub";
import { chooseFiles, isInside } from "../../../src/hub/choose-files.js";
import { folderName, pullModel, type PullOptions } from "../../../src/hub/pull.js";
import { externalGraph } from "../../support/models/external-graph.js";
import { commitOf, repositoryOf, startHub, type HubRepository, type StandInHub } from "../../support/stand-ins/hub.js";
import { runCommand, startCommand } from "../../support/servers/command.js";

let hub: StandInHub;
const home = mkdtempSync(join(tmpdir(), "seqserve-pull-"));
let modelsDir = "";
let next = 0;

before(async () => {
  hub = await startHub();
  const t5 = repositoryOf("test/zoo/t5");
  t5.set("model.safetensors", Buffer.alloc(20_000));
  t5.set("README.md", Buffer.from("# t5"));
  hub.repositories.set("tiny/t5", { files: t5 });
  hub.repositories.set("tiny/nllb", { files: repositoryOf("test/zoo/nllb") });
  hub.repositories.set("tiny/marian", { files: repositoryOf("test/zoo/marian") });
  hub.repositories.set("tiny/g2p", { files: repositoryOf("models/g2p-en") });
  hub.repositories.set("tiny/gated", { files: repositoryOf("test/zoo/marian"), gatedBy: "hf_open" });
  hub.repositories.set("tiny/secret", { files: repositoryOf("test/zoo/marian"), privateTo: "hf_open" });
  hub.repositories.set("tiny/torch", {
    files: new Map([
      ["model.safetensors", Buffer.alloc(9)],
      ["config.json", Buffer.from("{}")],
    ]),
  });
  hub.repositories.set("tiny/bert", {
    files: new Map([
      ["onnx/model.onnx", Buffer.alloc(9)],
      ["config.json", Buffer.from("{}")],
    ]),
  });
  hub.repositories.set("tiny/outside", { files: withExternal("weights of encoder.bin") });
  hub.repositories.set("tiny/onnx-data", { files: withExternal("encoder_model.onnx_data") });
});
after(async () => {
  await hub.close();
  rmSync(home, { recursive: true, force: true });
});
afterEach(() => {
  hub.heal();
  hub.requests.length = 0;
});

function withExternal(name: string): Map<string, Buffer> {
  const { graph, weights } = externalGraph("test/zoo/t5/encoder_model.onnx", name);
  return new Map([...repositoryOf("test/zoo/t5"), ["encoder_model.onnx", graph], [name, weights]]);
}

function freshDir(): string {
  modelsDir = join(home, String(next++));
  return modelsDir;
}

const quiet = { start: () => undefined, fileDone: () => undefined, bytesDone: () => undefined };

function pull(repository: string, overrides: Partial<PullOptions> = {}) {
  const usual = { revision: "main", dtype: "auto", device: "cpu", endpoint: hub.url, token: null };
  return pullModel({ ...usual, repository, modelsDir, progress: quiet, retryMs: 1, ...overrides });
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();
}

/** Nothing but these, byte for byte those of the repository. */
function assertPulled(name: string, expected: readonly string[]): void {
  const folder = join(modelsDir, name.split("/")[1] ?? "");
  assert.deepEqual(filesIn(folder), [".pulled.json", ...expected].sort());
  const { files } = hub.repositories.get(name) as HubRepository;
  for (const path of expected) assert.ok(readFileSync(join(folder, path)).equals(files.get(path)!), path);
  assert.deepEqual(readdirSync(modelsDir), [name.split("/")[1]], "nothing is left beside it");
}

const t5Text = [
  "config.json",
  "generation_config.json",
  "special_tokens_map.json",
  "spiece.model",
  "tokenizer.json",
  "tokenizer_config.json",
];
const bytesOf = (name: string, path: string) => hub.repositories.get(name)!.files.get(path)!.length;

describe("which files", () => {
  test("the graphs of one dtype and what stands beside them, nothing else", async () => {
    freshDir();
    await pull("tiny/t5");
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", "encoder_model.onnx"]);
    freshDir();
    assert.equal((await pull("tiny/t5", { dtype: "quantized" })).dtype, "quantized");
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged_quantized.onnx", "encoder_model_quantized.onnx"]);
  });

  test("int8 is made from the exact files", async () => {
    freshDir();
    const pulled = await pull("tiny/nllb", { dtype: "int8" });
    assert.equal(pulled.dtype, "int8");
    const graphs = filesIn(pulled.folder).filter((path) => path.endsWith(".onnx"));
    assert.deepEqual(graphs, ["onnx/decoder_model_merged.onnx", "onnx/encoder_model.onnx"]);
  });

  test("split decoders and Marian's own tokenizer files", async () => {
    freshDir();
    await pull("tiny/marian");
    const names = ["config.json", "generation_config.json", "source.spm", "special_tokens_map.json", "target.spm"];
    const graphs = ["decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx"];
    assertPulled("tiny/marian", [...names, "tokenizer_config.json", "vocab.json", ...graphs]);
  });

  test("weights beside the graphs: by their usual names, and by what only the graph says", async () => {
    for (const [name, weights] of [
      ["tiny/onnx-data", "encoder_model.onnx_data"],
      ["tiny/outside", "weights of encoder.bin"],
    ] as const) {
      freshDir();
      await pull(name);
      assertPulled(name, [...t5Text, "decoder_model_merged.onnx", "encoder_model.onnx", weights]);
    }
  });

  test("a repository with a seqserve.json brings all that a manifest may name", async () => {
    freshDir();
    await pull("tiny/g2p");
    assertPulled("tiny/g2p", [
      "decoder.onnx",
      "decoder_int8.onnx",
      "encoder.onnx",
      "encoder_int8.onnx",
      "seqserve.json",
      "source.txt",
      "target.txt",
    ]);
  });

  test("paths that lead out of the folder or to hidden files are never written", () => {
    for (const path of ["../x.onnx", "/x.onnx", "a/../../x", ".hidden", "onnx/.x", "a\\..\\x", "C:x", "a//b", "."])
      assert.ok(!isInside(path), path);
    for (const path of ["x.onnx", "onnx/encoder_model.onnx", "a b.bin"]) assert.ok(isInside(path), path);
    const file = (path: string) => ({ path, bytes: 1, checksum: { kind: "sha256", hex: "" } as const });
    const paths = ["seqserve.json", "a.onnx", "../evil.onnx", ".ssh/id.json"];
    const { files } = chooseFiles({ name: "a/b", commit: "c", files: paths.map(file) }, "auto", "cpu");
    assert.deepEqual(
      files.map(({ path }) => path),
      ["seqserve.json", "a.onnx"],
    );
  });

  test("names of repositories become names of folders", () => {
    assert.equal(folderName("Helsinki-NLP/opus-mt-en-de"), "opus-mt-en-de");
    assert.equal(folderName("t5-small"), "t5-small");
    for (const name of ["a/b/c", "../x", "a/..", "a/.b", "a/", "", "https://x/y"])
      assert.throws(() => folderName(name), /expected the name of a model/u);
  });
});

describe("broken connections", () => {
  const path = "encoder_model.onnx";

  test("a cut download goes on by ranges, never from the start", async () => {
    freshDir();
    hub.cut(path, 40_000, 3);
    await pull("tiny/t5");
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", path]);
    const size = bytesOf("tiny/t5", path);
    const ranges = hub.requests
      .filter((request) => request.fromCdn && request.path.endsWith(`/${path}`))
      .map(({ range }) => range);
    assert.equal(ranges.length, 4);
    assert.equal(ranges[0], undefined);
    for (const range of ranges.slice(1)) assert.match(range ?? "", new RegExp(`^bytes=[1-9]\\d*-${size - 1}$`, "u"));
  });

  test("a pull that gave up keeps its part, and the next one goes on there", async () => {
    freshDir();
    hub.cut(path, 0, 1_000_000);
    await assert.rejects(pull("tiny/t5"), /^Error: tiny\/t5: encoder_model\.onnx: /u);
    assert.deepEqual(readdirSync(modelsDir), [".t5.partial"]);
    const part = join(modelsDir, ".t5.partial", `${path}.part`);
    writeFileSync(part, hub.repositories.get("tiny/t5")!.files.get(path)!.subarray(0, 50_000));
    hub.heal();
    hub.requests.length = 0;
    await pull("tiny/t5");
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", path]);
    const ranges = (name: string) =>
      hub.requests.filter((request) => request.fromCdn && request.path.endsWith(`/${name}`)).map(({ range }) => range);
    assert.deepEqual(ranges(path), [`bytes=50000-${bytesOf("tiny/t5", path) - 1}`]);
    assert.deepEqual(ranges("decoder_model_merged.onnx"), [], "whole files are not asked for again");
  });

  test("an old part of other content is found out and replaced", async () => {
    freshDir();
    hub.cut(path, 0, 1_000_000);
    await assert.rejects(pull("tiny/t5"));
    writeFileSync(join(modelsDir, ".t5.partial", `${path}.part`), Buffer.alloc(50_000, 7));
    writeFileSync(join(modelsDir, ".t5.partial", "decoder_model_quantized.onnx"), "left by another dtype");
    hub.heal();
    await pull("tiny/t5");
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", path]);
  });

  test("a wrong checksum is refused, nothing appears, and the bad bytes are gone", async () => {
    for (const broken of [path, "config.json"]) {
      freshDir();
      hub.corrupt(broken);
      await assert.rejects(pull("tiny/t5"), new RegExp(`tiny/t5: ${broken}: the wrong checksum came`, "u"));
      assert.deepEqual(readdirSync(modelsDir), [".t5.partial"]);
      assert.ok(!existsSync(join(modelsDir, ".t5.partial", `${broken}.part`)));
      hub.heal();
      await pull("tiny/t5");
      assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", path]);
    }
  });

  test("a mirror that ignores ranges is found out before a file is spoilt", async () => {
    freshDir();
    hub.cut(path, 40_000, 1);
    hub.ignoreRanges();
    await assert.rejects(pull("tiny/t5"), /sends no parts of files/u);
  });

  test("a Hub that is away is one line", async () => {
    freshDir();
    const gone = await startHub();
    await gone.close();
    await assert.rejects(
      pull("tiny/t5", { endpoint: gone.url }),
      /^Error: cannot reach http:\/\/127\.0\.0\.1:\d+: ECONNREFUSED$/u,
    );
  });
});

describe("what can't be pulled", () => {
  const refused: [string, Partial<PullOptions>, RegExp][] = [
    ["tiny/nothing", {}, /^HubRefusal: tiny\/nothing: no such model at http:\S+, or a private one \(HF_TOKEN\)$/u],
    ["tiny/secret", {}, /no such model at .* or a private one/u],
    ["tiny/gated", {}, /tiny\/gated: a gated model: accept its terms at http:\S+\/tiny\/gated and set HF_TOKEN$/u],
    ["tiny/gated", { token: "hf_other" }, /a gated model/u],
    ["tiny/t5", { revision: "v9" }, /^HubRefusal: tiny\/t5: no revision "v9"$/u],
    ["tiny/torch", {}, /^HubRefusal: tiny\/torch: no ONNX files: found model\.safetensors; export it/u],
    ["tiny/bert", {}, /tiny\/bert: encoder: expected encoder_model\.onnx .*; found model\.onnx$/u],
    [
      "tiny/t5",
      { dtype: "q4" },
      /^HubRefusal: tiny\/t5: DTYPE q4: expected encoder_model_q4\.onnx, found fp32, quantized$/u,
    ],
    ["tiny", {}, /no such model/u],
    ["tiny/a/b", {}, /expected the name of a model on the Hub, as in owner\/name$/u],
  ];
  for (const [name, overrides, says] of refused) {
    test(`${name} ${JSON.stringify(overrides)}`, async () => {
      freshDir();
      await assert.rejects(pull(name, overrides), (error: Error) => {
        assert.match(`${error.name}: ${error.message}`, says);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
      if (existsSync(modelsDir))
        assert.deepEqual(
          readdirSync(modelsDir).filter((entry) => !entry.startsWith(".")),
          [],
        );
    });
  }

  test("a token opens what is gated and what is private, and never reaches the CDN", async () => {
    for (const name of ["tiny/gated", "tiny/secret"]) {
      freshDir();
      await pull(name, { token: "hf_open" });
      assert.ok(existsSync(join(modelsDir, name.slice(5), "config.json")));
    }
    assert.ok(hub.requests.filter(({ fromCdn }) => fromCdn).length > 0);
    assert.ok(hub.requests.every(({ fromCdn, token }) => (token === undefined) === fromCdn));
  });

  test("a folder that is there is never touched", async () => {
    freshDir();
    const { folder, wasPresent } = await pull("tiny/t5");
    assert.ok(!wasPresent);
    assert.ok((await pull("tiny/t5")).wasPresent);
    await assert.rejects(
      pull("tiny/t5", { dtype: "quantized" }),
      /there is another model of that name already \(tiny\/t5 at \w{12}, fp32\): remove it first/u,
    );
    rmSync(join(folder, ".pulled.json"));
    await assert.rejects(pull("tiny/t5"), /there is another model of that name already: remove it first/u);
  });
});

describe("the command", () => {
  test("pulls, says so line by line, and the folder is a model", async () => {
    freshDir();
    const environment = { HF_ENDPOINT: `${hub.url}/`, MODELS_DIR: modelsDir, CACHE_DIR: "none" };
    const { out, err, code } = await runCommand(
      ["pull", "tiny/t5", "--dtype", "quantized", "--revision=v1"],
      environment,
    );
    assert.equal(code, 0, err);
    const commit = commitOf(hub.repositories.get("tiny/t5")!).slice(0, 12);
    assert.equal(out, `${join(modelsDir, "t5")}  pulled: tiny/t5 at ${commit}, quantized\n`);
    assert.match(err, /^8 files, [\d.]+ MB\n1\/8 config\.json, [^\n]+\n/u);
    assert.ok(!err.includes("\r"), "no bar where nobody looks on");
    const checked = await runCommand(["check", join(modelsDir, "t5"), "--json"], { CACHE_DIR: "none" });
    assert.equal(checked.code, 0, checked.err);
    assert.equal((JSON.parse(checked.out) as { dtype: string }).dtype, "quantized");
  });

  test("HF_TOKEN is honoured, and what it can't be is one line", async () => {
    freshDir();
    const environment = { HF_ENDPOINT: hub.url, MODELS_DIR: modelsDir };
    const refusal = await runCommand(["pull", "tiny/gated"], environment);
    assert.deepEqual([refusal.code, refusal.out], [1, ""]);
    assert.match(refusal.err.split("\n").at(-2) ?? "", /^seqserve: tiny\/gated: a gated model/u);
    assert.ok(!refusal.err.includes("    at "), "no stack");
    assert.equal((await runCommand(["pull", "tiny/gated"], { ...environment, HF_TOKEN: "hf_open" })).code, 0);
    const wrong = await runCommand(["pull", "tiny/gated"], { ...environment, HF_TOKEN: "secret" });
    assert.match(wrong.err, /^seqserve: HF_TOKEN: must be an access token that begins with hf_ /u);
  });

  test("killed in the middle, it goes on where it was", async () => {
    freshDir();
    const path = "decoder_model_merged.onnx";
    const environment = { HF_ENDPOINT: hub.url, MODELS_DIR: modelsDir };
    hub.slow(25, 5000);
    const { child, ended } = startCommand(["pull", "tiny/t5"], environment);
    const part = join(modelsDir, ".t5.partial", `${path}.part`);
    while (!existsSync(part) || statSync(part).size < 20_000) await new Promise((done) => setTimeout(done, 10));
    child.kill("SIGINT");
    await ended;
    assert.ok(!existsSync(join(modelsDir, "t5")));
    const { size } = statSync(part);
    hub.heal();
    hub.requests.length = 0;
    assert.equal((await runCommand(["pull", "tiny/t5"], environment)).code, 0);
    assertPulled("tiny/t5", [...t5Text, path, "encoder_model.onnx"]);
    const asked = hub.requests.find((request) => request.fromCdn && request.path.endsWith(path));
    assert.equal(asked?.range, `bytes=${size}-${bytesOf("tiny/t5", path) - 1}`);
  });

  test("two at a time: one pulls, the other says so; a dead one hinders nobody", async () => {
    freshDir();
    const environment = { HF_ENDPOINT: hub.url, MODELS_DIR: modelsDir };
    hub.slow(25, 5000);
    const first = startCommand(["pull", "tiny/t5"], environment);
    const lock = join(modelsDir, ".t5.pull");
    while (!existsSync(lock)) await new Promise((done) => setTimeout(done, 10));
    const second = await runCommand(["pull", "tiny/t5"], environment);
    assert.equal(second.code, 1);
    assert.match(
      second.err,
      new RegExp(`^seqserve: \\S+: process ${first.child.pid} on \\S+ is pulling this model`, "u"),
    );
    first.child.kill("SIGKILL");
    await first.ended;
    assert.ok(existsSync(lock));
    hub.heal();
    assert.equal((await runCommand(["pull", "tiny/t5"], environment)).code, 0);
    assertPulled("tiny/t5", [...t5Text, "decoder_model_merged.onnx", "encoder_model.onnx"]);
  });

  test("MODEL=owner/name pulls before the start and serves under the name; the next start asks nobody", async () => {
    freshDir();
    const environment = {
      HF_ENDPOINT: hub.url,
      MODELS_DIR: modelsDir,
      MODEL: "tiny/t5,tiny/marian",
      PORT: "0",
      LOG_FORMAT: "text",
      CACHE_DIR: "none",
    };
    for (const isFirst of [true, false]) {
      hub.requests.length = 0;
      const { child, seen, ended } = startCommand([], environment);
      while (!seen.out.includes("listens") && child.exitCode === null) await once(child.stdout, "data");
      const [url] =
        /http:\/\/127\.0\.0\.1:\d+(?=\n {2}docs)/u.exec(seen.out) ??
        /listens\s+(http:\S+)/u.exec(seen.out)?.slice(1) ??
        [];
      const { models } = (await (await fetch(`${url}/models`)).json()) as { models: { name: string; state: string }[] };
      assert.deepEqual(
        models.map(({ name, state }) => [name, state]),
        [
          ["t5", "ready"],
          ["marian", "ready"],
        ],
      );
      assert.equal(hub.requests.length > 0, isFirst);
      child.kill("SIGTERM");
      assert.equal((await ended).code, 0, seen.err);
    }
    const other = await runCommand([], { ...environment, MODEL: "other/t5" });
    assert.match(other.err, /^seqserve: MODEL: \S+t5 is tiny\/t5, not other\/t5\n$/u);
    const gone = await runCommand([], { ...environment, MODEL: "tiny/nothing" });
    assert.match(gone.err, /^seqserve: tiny\/nothing: no such model at [^\n]+\n$/u);
  });
});

test("the stand-in answers paths-info as well", async () => {
  const infos = await pathsInfo({ repo: "tiny/t5", paths: ["encoder_model.onnx", "config.json"], hubUrl: hub.url });
  assert.deepEqual(infos.map(({ path, lfs }) => [path, lfs === undefined]).sort(), [
    ["config.json", true],
    ["encoder_model.onnx", false],
  ]);
});
