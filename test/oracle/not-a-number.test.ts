// A model whose weights give NaN for some texts: those requests fail with 424, whatever they asked for, and nobody who shares their run notices.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { zooServer, type ZooServer } from "../support/servers/zoo-server.js";

/** The first piece of "millimeters" in itn-en's vocabulary. */
const poisoned = 1714;

function poisonedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "seqserve-nan-"));
  cpSync("models/itn-en", join(folder, "itn-en"), { recursive: true });
  const file = join(folder, "itn-en", "encoder_model.onnx");
  const model = fromBinary(ModelProtoSchema, readFileSync(file));
  const embedding = model.graph!.initializer.find(({ dims }) => dims.length === 2 && dims[0] === 2048n)!;
  const bytes = Uint8Array.from(embedding.rawData);
  const rowBytes = Number(embedding.dims[1]) * 4;
  new DataView(bytes.buffer).setFloat32(poisoned * rowBytes, Number.NaN, true);
  embedding.rawData = bytes;
  writeFileSync(file, toBinary(ModelProtoSchema, model));
  return folder;
}

for (const dtype of ["fp32", "int8"]) {
  let server: ZooServer;
  before(async () => {
    server = await zooServer({ modelsDir: poisonedFolder(), models: ["itn-en"], dtype });
  });
  after(() => server.close());

  const ask = async (inputs: string, parameters: object) => {
    const response = await fetch(`${server.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs, parameters }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  test(`${dtype}: NaN is a 424, by every search, and the others of the run are answered`, async () => {
    const searches = [
      {},
      { details: true },
      { do_sample: true, seed: 1 },
      { num_beams: 3 },
      { repetition_penalty: 2 },
      { top_n_tokens: 2, max_new_tokens: 3 },
    ];
    const answers = await Promise.all(
      searches.map((parameters) => Promise.all([ask("twenty five dollars", {}), ask("millimeters", parameters)])),
    );
    for (const [i, [healthy, spoilt]] of answers.entries()) {
      assert.equal(healthy.body["generated_text"], "$25");
      assert.equal(spoilt.status, 424, JSON.stringify(searches[i]));
      assert.equal(spoilt.body["error_type"], "generation");
    }
  });

  test(`${dtype}: who takes a spoilt row's place in the caches meets nothing of it`, async () => {
    const long = Array.from({ length: 12 }, () => "millimeters").join(" and ");
    for (const parameters of [{}, { num_beams: 3 }]) {
      assert.equal((await ask(long, parameters)).status, 424);
      assert.equal((await ask("twenty five dollars", parameters)).body["generated_text"], "$25");
    }
  });
}
