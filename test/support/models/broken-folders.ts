// Broken and hostile model folders: each is a healthy one with one change, and what its refusal has to say.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  type GraphProto,
} from "onnx-buf";

export interface BrokenFolder {
  readonly name: string;
  /** Makes it under `root`, the MODELS_DIR. */
  readonly make: (root: string) => void;
  /** The refusal names the fault. */
  readonly says: RegExp;
}

type Damage = (folder: string) => void;
type Json = Record<string, unknown>;

/** What the damages touch of a manifest, a config or a tokenizer. */
interface Document extends Json {
  encoder: { file: string; inputs: Json };
  decoder: { inputs: { states: string[] }; outputs: { states: string[] } };
  source: Json;
  target: Json;
  model: { type?: string; vocab?: unknown[] };
}

const zooFiles = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "encoder_model.onnx",
  "decoder_model_merged.onnx",
];
const pairFiles = ["encoder_int8.onnx", "decoder_int8.onnx", "seqserve.json", "source.txt", "target.txt"];

export function copyTransformer(folder: string): void {
  copy("test/zoo/t5", folder, zooFiles);
}

export function copyPair(folder: string): void {
  copy("models/g2p-en", folder, pairFiles);
}

function copy(from: string, folder: string, files: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  for (const file of files) copyFileSync(join(from, file), join(folder, file));
}

function broken(kind: "t5" | "g2p", fault: string, says: RegExp, damage: Damage): BrokenFolder {
  const name = `${kind}-${fault}`;
  const make = (root: string) => {
    const folder = join(root, name);
    if (kind === "t5") copyTransformer(folder);
    else copyPair(folder);
    damage(folder);
  };
  return { name, says, make };
}

const write =
  (file: string, text: string | Uint8Array): Damage =>
  (folder) =>
    writeFileSync(join(folder, file), text);
const remove =
  (file: string): Damage =>
  (folder) =>
    rmSync(join(folder, file));

/** Rewrites one JSON file. */
function json(file: string, change: (value: Document) => void): Damage {
  return (folder) => {
    const path = join(folder, file);
    const value = JSON.parse(readFileSync(path, "utf8")) as Document;
    change(value);
    writeFileSync(path, JSON.stringify(value));
  };
}

/** Rewrites the bytes of one file. */
function bytes(file: string, change: (value: Uint8Array) => Uint8Array): Damage {
  return (folder) => {
    const path = join(folder, file);
    writeFileSync(path, change(readFileSync(path)));
  };
}

/** Rewrites the graph of one ONNX file. */
function graph(file: string, change: (graph: GraphProto) => void): Damage {
  return bytes(file, (old) => {
    const model = fromBinary(ModelProtoSchema, old);
    change(model.graph!);
    return toBinary(ModelProtoSchema, model);
  });
}

function shapeOf(info: GraphProto["input"][number] | undefined) {
  const value = info?.type?.value;
  if (value?.case !== "tensorType") throw new Error("no tensor");
  return value.value;
}

const lines = (file: string, change: (lines: string[]) => string[]): Damage =>
  bytes(file, (old) => Buffer.from(`${change(Buffer.from(old).toString().trimEnd().split("\n")).join("\n")}\n`));

/** The first large weight, moved to a file elsewhere. */
function external(file: string, location: string, entries: Record<string, string> = {}): Damage {
  return graph(file, (held) => {
    const tensor = held.initializer.find(({ rawData }) => rawData.length >= 1024)!;
    const pairs = Object.entries({ location, offset: "0", length: String(tensor.rawData.length), ...entries });
    tensor.rawData = new Uint8Array();
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    tensor.externalData = pairs.map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
  });
}

function customOp(file: string): Damage {
  return graph(file, (held) => {
    held.node[0]!.domain = "com.example.evil";
    held.node[0]!.opType = "LaunchRockets";
  });
}

const nested = (depth: number) => `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
const outside = (folder: string) => join(folder, "..", "..", "outside");

/** Needs the folder "outside" beside MODELS_DIR, with a healthy pair and transformer in it. */
export const brokenFolders: readonly BrokenFolder[] = [
  // Files that are not there, or not what their names say.
  broken("t5", "no-encoder", /expected encoder_model\.onnx/, remove("encoder_model.onnx")),
  broken("t5", "no-decoder", /expected decoder_model_merged\.onnx/, remove("decoder_model_merged.onnx")),
  broken("t5", "no-tokenizer", /no tokenizer: expected tokenizer\.json/, remove("tokenizer.json")),
  broken("t5", "wrong-name", /expected encoder_model\.onnx/, (folder) =>
    renameSync(join(folder, "encoder_model.onnx"), join(folder, "encoder-model.onnx")),
  ),
  broken("t5", "empty-encoder", /encoder_model\.onnx: the file is empty/, write("encoder_model.onnx", "")),
  broken("t5", "empty-config", /config\.json: the file is empty/, write("config.json", "")),
  broken("t5", "folder-for-file", /encoder_model\.onnx: expected a file, found a folder/, (folder) => {
    remove("encoder_model.onnx")(folder);
    mkdirSync(join(folder, "encoder_model.onnx"));
  }),
  broken("t5", "folder-for-config", /config\.json: expected a file, found a folder/, (folder) => {
    remove("config.json")(folder);
    mkdirSync(join(folder, "config.json"));
  }),
  broken("t5", "fifo-config", /config\.json: expected a file, found a pipe/, (folder) => {
    remove("config.json")(folder);
    execFileSync("mkfifo", [join(folder, "config.json")]);
  }),
  broken("t5", "fifo-encoder", /encoder_model\.onnx: expected a file, found a pipe/, (folder) => {
    remove("encoder_model.onnx")(folder);
    execFileSync("mkfifo", [join(folder, "encoder_model.onnx")]);
  }),
  broken("g2p", "fifo-vocabulary", /target\.txt: expected a file, found a pipe/, (folder) => {
    remove("target.txt")(folder);
    execFileSync("mkfifo", [join(folder, "target.txt")]);
  }),
  broken("g2p", "hidden-fifo", /\.hidden\/target\.txt: expected a file, found a pipe/, (folder) => {
    mkdirSync(join(folder, ".hidden"));
    execFileSync("mkfifo", [join(folder, ".hidden", "target.txt")]);
    json("seqserve.json", (manifest) => void (manifest.target.vocab = ".hidden/target.txt"))(folder);
  }),
  broken("t5", "no-models", /expected encoder_model\.onnx \(or a seqserve\.json/, (folder) => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  }),

  // Ways out of MODELS_DIR.
  broken("t5", "symlink-out", /encoder_model\.onnx: a link out of MODELS_DIR/, (folder) => {
    remove("encoder_model.onnx")(folder);
    symlinkSync(resolve("test/zoo/t5/encoder_model.onnx"), join(folder, "encoder_model.onnx"));
  }),
  broken("t5", "symlink-secret", /tokenizer\.json: a link out of MODELS_DIR/, (folder) => {
    remove("tokenizer.json")(folder);
    symlinkSync("/etc/hostname", join(folder, "tokenizer.json"));
  }),
  broken("t5", "symlink-nowhere", /config\.json: a link to nothing/, (folder) => {
    remove("config.json")(folder);
    symlinkSync("gone.json", join(folder, "config.json"));
  }),
  broken("t5", "symlink-loop", /config\.json: a link to nothing/, (folder) => {
    remove("config.json")(folder);
    symlinkSync("config.json", join(folder, "config.json"));
  }),
  broken(
    "t5",
    "folder-link-out",
    /t5-folder-link-out: a link out of MODELS_DIR \(to .*outside.t5\): put the folder itself there .*, or let MODELS_DIR be the folder/,
    (folder) => {
      rmSync(folder, { recursive: true });
      symlinkSync(join(outside(folder), "t5"), folder);
    },
  ),
  broken("t5", "onnx-link-out", /onnx: a link out of MODELS_DIR \(to [^:]*\)$/, (folder) =>
    symlinkSync(join(outside(folder), "t5"), join(folder, "onnx")),
  ),
  broken("g2p", "file-outside", /encoder\.file: .*outside the model's folder/, (folder) =>
    json("seqserve.json", (manifest) => void (manifest.encoder.file = "../../outside/g2p/encoder.onnx"))(folder),
  ),
  broken("g2p", "file-absolute", /target\.vocab: .*outside the model's folder/, (folder) =>
    json("seqserve.json", (manifest) => void (manifest.target.vocab = "/etc/passwd"))(folder),
  ),
  broken("g2p", "vocab-outside", /source\.vocab: .*outside the model's folder/, (folder) =>
    json("seqserve.json", (manifest) => void (manifest.source.vocab = "../../outside/g2p/source.txt"))(folder),
  ),
  broken(
    "t5",
    "external-outside",
    /encoder_model\.onnx: .*external data .*outside the model's folder/,
    external("encoder_model.onnx", "../../outside/t5/tokenizer.json"),
  ),
  broken(
    "t5",
    "external-absolute",
    /encoder_model\.onnx: .*external data .*outside the model's folder/,
    external("encoder_model.onnx", "/etc/passwd"),
  ),
  broken(
    "g2p",
    "external-outside",
    /decoder_int8\.onnx: .*external data .*outside the model's folder/,
    external("decoder_int8.onnx", "../../outside/g2p/source.txt"),
  ),
  broken(
    "g2p",
    "external-missing",
    /encoder_int8\.onnx: .*weights\.bin.* not there/,
    external("encoder_int8.onnx", "weights.bin"),
  ),
  broken("g2p", "external-short", /encoder_int8\.onnx: .*weights\.bin.* ends at byte 100/, (folder) => {
    external("encoder_int8.onnx", "weights.bin")(folder);
    write("weights.bin", new Uint8Array(100))(folder);
  }),
  broken("g2p", "external-negative", /encoder_int8\.onnx: .*weights\.bin.* offset/, (folder) => {
    external("encoder_int8.onnx", "weights.bin", { offset: "-8" })(folder);
    write("weights.bin", new Uint8Array(1 << 20))(folder);
  }),
  broken("g2p", "external-fifo", /weights\.bin: expected a file, found a pipe/, (folder) => {
    external("encoder_int8.onnx", "weights.bin")(folder);
    execFileSync("mkfifo", [join(folder, "weights.bin")]);
  }),

  // ONNX files that are damaged or not such models.
  broken(
    "t5",
    "truncated",
    /encoder_model\.onnx: .*not an ONNX file/,
    bytes("encoder_model.onnx", (all) => all.subarray(0, 90_000)),
  ),
  broken(
    "g2p",
    "truncated",
    /decoder_int8\.onnx: .*not an ONNX file/,
    bytes("decoder_int8.onnx", (all) => all.subarray(0, -7)),
  ),
  broken(
    "g2p",
    "bit-flip",
    /encoder_int8\.onnx: /,
    bytes("encoder_int8.onnx", (all) => {
      const flipped = Uint8Array.from(all);
      for (let at = 0; at < 64; at += 1) flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      return flipped;
    }),
  ),
  broken(
    "t5",
    "text-for-onnx",
    /encoder_model\.onnx: .*not an ONNX file/,
    write("encoder_model.onnx", "<html>404</html>\n"),
  ),
  broken(
    "t5",
    "lfs-pointer",
    /encoder_model\.onnx: a Git LFS pointer/,
    write(
      "encoder_model.onnx",
      `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 166546\n`,
    ),
  ),
  broken("t5", "custom-op", /encoder_model\.onnx: .*com\.example\.evil/, customOp("encoder_model.onnx")),
  broken("g2p", "custom-op", /decoder_int8\.onnx: .*com\.example\.evil/, customOp("decoder_int8.onnx")),
  broken("t5", "swapped", /(encoder|decoder)_model.*\.onnx/, (folder) => {
    renameSync(join(folder, "encoder_model.onnx"), join(folder, "x"));
    renameSync(join(folder, "decoder_model_merged.onnx"), join(folder, "encoder_model.onnx"));
    renameSync(join(folder, "x"), join(folder, "decoder_model_merged.onnx"));
  }),
  broken(
    "t5",
    "wrong-rank",
    /encoder_model\.onnx/,
    graph("encoder_model.onnx", (held) => {
      shapeOf(held.input.find(({ name }) => name === "input_ids")).shape!.dim.push(
        create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: 7n } }),
      );
    }),
  ),
  broken(
    "g2p",
    "wrong-rank",
    /decoder_int8\.onnx/,
    graph("decoder_int8.onnx", (held) => {
      shapeOf(held.input.find(({ name }) => name === "state_h")).shape!.dim.pop();
    }),
  ),
  broken(
    "g2p",
    "wrong-type",
    /encoder_int8\.onnx/,
    graph("encoder_int8.onnx", (held) => {
      shapeOf(held.input.find(({ name }) => name === "input_ids")).elemType = 8;
    }),
  ),
  broken(
    "t5",
    "missing-node",
    /encoder_model\.onnx/,
    graph("encoder_model.onnx", (held) => void held.node.splice(5, 1)),
  ),
  broken(
    "g2p",
    "cycle",
    /decoder_int8\.onnx/,
    graph("decoder_int8.onnx", (held) => {
      const last = held.node.at(-1)!;
      held.node[0]!.input[0] = last.output[0]!;
    }),
  ),
  broken(
    "g2p",
    "no-graph",
    /encoder_int8\.onnx: .*no graph/,
    bytes("encoder_int8.onnx", (old) => {
      const model = fromBinary(ModelProtoSchema, old);
      return toBinary(
        ModelProtoSchema,
        create(ModelProtoSchema, { irVersion: model.irVersion, opsetImport: model.opsetImport }),
      );
    }),
  ),
  broken(
    "g2p",
    "future-opset",
    /encoder_int8\.onnx: .*opset/i,
    bytes("encoder_int8.onnx", (old) => {
      const model = fromBinary(ModelProtoSchema, old);
      for (const entry of model.opsetImport) entry.version = 999n;
      return toBinary(ModelProtoSchema, model);
    }),
  ),
  broken(
    "g2p",
    "huge-allocation",
    /decoder_int8\.onnx/,
    graph("decoder_int8.onnx", (held) => {
      const size = create(TensorProtoSchema, {
        name: "evil_size",
        dims: [2n],
        dataType: 7,
        int64Data: [1n << 40n, 1n << 20n],
      });
      held.initializer.push(size);
      held.node.unshift(create(NodeProtoSchema, { opType: "ConstantOfShape", input: ["evil_size"], output: ["evil"] }));
      const scores = held.node.find(({ output }) => output.includes("logits"))!;
      const at = scores.output.indexOf("logits");
      scores.output[at] = "plain_logits";
      held.node.push(
        create(NodeProtoSchema, {
          opType: "ReduceSum",
          input: ["evil"],
          output: ["evil_sum"],
          attribute: [attribute("keepdims", 0n)],
        }),
      );
      held.node.push(
        create(NodeProtoSchema, { opType: "Add", input: ["plain_logits", "evil_sum"], output: ["logits"] }),
      );
    }),
  ),
  broken(
    "g2p",
    "not-a-number",
    /decoder_int8\.onnx: .*scores that are not numbers/,
    graph("decoder_int8.onnx", (held) => {
      held.initializer.push(
        create(TensorProtoSchema, { name: "evil", dims: [], dataType: 1, floatData: [Number.NaN] }),
      );
      const scores = held.node.find(({ output }) => output.includes("logits"))!;
      scores.output[scores.output.indexOf("logits")] = "plain_logits";
      held.node.push(create(NodeProtoSchema, { opType: "Add", input: ["plain_logits", "evil"], output: ["logits"] }));
    }),
  ),

  // Vocabularies.
  broken(
    "g2p",
    "short-vocabulary",
    /target\.vocab: 71 symbols.* 72/,
    lines("target.txt", (all) => all.slice(0, -1)),
  ),
  broken(
    "g2p",
    "long-vocabulary",
    /target\.vocab: 74 symbols.* 72/,
    lines("target.txt", (all) => [...all, "XX", "YY"]),
  ),
  broken(
    "g2p",
    "long-source",
    /source id 49: is source\.vocab longer/,
    lines("source.txt", (all) => [...all, ...Array.from({ length: 20 }, (_, i) => `x${i}`)]),
  ),
  broken(
    "g2p",
    "duplicate-symbol",
    /target\.txt: the symbol "AA1" stands twice/,
    lines("target.txt", (all) => all.with(9, "AA1")),
  ),
  broken("g2p", "id-out-of-range", /target\.vocab: .*72/, (folder) => {
    json("seqserve.json", (manifest) => void (manifest.target.vocab = "target.json"))(folder);
    write("target.json", JSON.stringify({ "<pad>": 0, "<s>": 1, "</s>": 2, AA: 5000 }))(folder);
  }),
  broken("g2p", "negative-id", /target\.json: "AA": expected an id/, (folder) => {
    json("seqserve.json", (manifest) => void (manifest.target.vocab = "target.json"))(folder);
    write("target.json", JSON.stringify({ "<pad>": 0, "<s>": 1, "</s>": 2, AA: -3 }))(folder);
  }),
  broken("g2p", "empty-vocabulary", /target\.txt: the file is empty/, write("target.txt", "")),
  broken(
    "g2p",
    "no-such-symbol",
    /no symbol "<start>"/,
    json("seqserve.json", (manifest) => void (manifest.target.bos = "<start>")),
  ),
  broken(
    "g2p",
    "bos-out-of-range",
    /target\.bos .*id 4000/,
    json("seqserve.json", (manifest) => void (manifest.target.bos = 4000)),
  ),
  broken(
    "g2p",
    "no-vocabulary",
    /no tokenizer|vocab/,
    json(
      "seqserve.json",
      (manifest) => void [Reflect.deleteProperty(manifest, "source"), Reflect.deleteProperty(manifest, "target")],
    ),
  ),
  broken(
    "t5",
    "tokenizer-not-json",
    /tokenizer\.json: not JSON/,
    bytes("tokenizer.json", (all) => all.subarray(0, 5000)),
  ),
  broken("t5", "tokenizer-empty-object", /tokenizer\.json/, write("tokenizer.json", "{}")),
  broken("t5", "tokenizer-null", /tokenizer\.json/, write("tokenizer.json", "null")),
  broken("t5", "tokenizer-of-another", /tokenizer.*(vocabulary|ids)/, (folder) => {
    json(
      "tokenizer.json",
      (value) => void value.model.vocab?.push(...Array.from({ length: 5000 }, (_, i) => [`zz${i}`, -9])),
    )(folder);
  }),
  broken(
    "t5",
    "tokenizer-unknown-model",
    /tokenizer\.json/,
    json("tokenizer.json", (value) => void (value.model = { type: "Nonsense" })),
  ),

  // Manifests.
  broken(
    "g2p",
    "typo",
    /unknown field "encoder\.inputs\.length" \(did you mean lengths\?\)/,
    json("seqserve.json", (manifest) => {
      manifest.encoder.inputs.length = manifest.encoder.inputs.lengths;
      delete manifest.encoder.inputs.lengths;
    }),
  ),
  broken(
    "t5",
    "typo",
    /unknown field "inputPrefx" \(did you mean inputPrefix\?\)/,
    write("seqserve.json", '{"inputPrefx": "x"}'),
  ),
  broken(
    "t5",
    "parameter-typo",
    /parameters\.num_beam: unknown.*num_beams/,
    write("seqserve.json", '{"parameters": {"num_beam": 2}}'),
  ),
  broken(
    "t5",
    "parameter-type",
    /parameters\.num_beams/,
    write("seqserve.json", '{"parameters": {"num_beams": "four"}}'),
  ),
  broken(
    "g2p",
    "tensor-typo",
    /decoder_int8\.onnx: decoder\.inputs\.states: expected a tensor "state_q"/,
    json("seqserve.json", (manifest) => void (manifest.decoder.inputs.states[0] = "state_q")),
  ),
  broken(
    "g2p",
    "10-mb",
    /seqserve\.json: .*larger than/,
    write("seqserve.json", `{"description": "${"x".repeat(10 << 20)}"}`),
  ),
  broken("g2p", "deep", /seqserve\.json: /, write("seqserve.json", nested(400_000))),
  broken("g2p", "deep-parameters", /seqserve\.json: /, write("seqserve.json", `{"parameters":${nested(400_000)}}`)),
  broken("g2p", "not-json", /seqserve\.json: not JSON/, write("seqserve.json", "layout: recurrent\n")),
  broken("g2p", "array", /seqserve\.json: .*object/, write("seqserve.json", "[]")),
  broken(
    "g2p",
    "binary",
    /seqserve\.json: not JSON/,
    write(
      "seqserve.json",
      Uint8Array.from({ length: 3000 }, (_, i) => i % 256),
    ),
  ),
  broken(
    "g2p",
    "prototype",
    /seqserve\.json: unknown field/,
    write("seqserve.json", '{"__proto__": {"layout": "recurrent"}, "constructor": 1}'),
  ),
  broken(
    "g2p",
    "no-decoder-entry",
    /seqserve\.json.*decoder/,
    json("seqserve.json", (manifest) => void Reflect.deleteProperty(manifest, "decoder")),
  ),
  broken(
    "g2p",
    "states-unpaired",
    /states/,
    json("seqserve.json", (manifest) => void manifest.decoder.outputs.states.pop()),
  ),

  // config.json and generation_config.json.
  broken(
    "t5",
    "attention-layer",
    /seqserve\.json: attention\.layer 2: the decoder has 0 to 1/,
    write("seqserve.json", '{"attention":{"layer":2}}'),
  ),
  broken(
    "t5",
    "attention-head",
    /seqserve\.json: attention\.heads 4: the decoder has 0 to 3/,
    write("seqserve.json", '{"attention":{"layer":1,"heads":[0,4]}}'),
  ),
  broken("t5", "config-not-json", /config\.json: not JSON/, write("config.json", "{'vocab_size': 1}")),
  broken("t5", "config-array", /config\.json: expected an object, found an array/, write("config.json", "[1]")),
  broken(
    "t5",
    "config-deep",
    /config\.json: .*(nested|pad_token_id)/,
    write("config.json", `{"pad_token_id":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
  ),
  broken(
    "t5",
    "start-type",
    /generation_config\.json: decoder_start_token_id: expected an id, found "zero"/,
    json("generation_config.json", (value) => void (value.decoder_start_token_id = "zero")),
  ),
  broken(
    "t5",
    "start-range",
    /decoder_start_token_id: id 99999 is outside/,
    json("generation_config.json", (value) => void (value.decoder_start_token_id = 99_999)),
  ),
  broken(
    "t5",
    "eos-fraction",
    /generation_config\.json: eos_token_id/,
    json("generation_config.json", (value) => void (value.eos_token_id = 1.5)),
  ),
  broken(
    "t5",
    "beams-type",
    /generation_config\.json: num_beams/,
    json("generation_config.json", (value) => void (value.num_beams = "many")),
  ),
  broken(
    "t5",
    "suppress-type",
    /generation_config\.json: suppress_tokens/,
    json("generation_config.json", (value) => void (value.suppress_tokens = { a: 1 })),
  ),
  broken(
    "t5",
    "forced-range",
    /forced_bos_token_id: id 7777 is outside/,
    json("generation_config.json", (value) => void (value.forced_bos_token_id = 7777)),
  ),
  broken(
    "t5",
    "vocab-size-type",
    /config\.json: vocab_size/,
    json("config.json", (value) => void (value.vocab_size = "481")),
  ),
  broken("t5", "no-start", /no start token/, (folder) => {
    for (const file of ["config.json", "generation_config.json"])
      json(file, (value) => void (delete value.decoder_start_token_id, delete value.bos_token_id))(folder);
  }),
];

function attribute(name: string, value: bigint) {
  return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: value });
}
