// A folder without a manifest gets a draft: roles as a person would have written them for every kind of test model.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { draftManifest } from "../../src/inference/draft-manifest.js";
import { checkManifest } from "../../src/inference/manifest.js";
import { manifestFixtures } from "../support/manifests.js";

interface Written {
  readonly encoder?: object;
  readonly decoder: object;
  readonly source: { vocab: string[] };
  readonly target: { vocab: string[]; bos: string; eos: string };
}

/** The kind's graphs and vocabularies, without its manifest. */
function bareFolder(kind: string): { folder: string; written: Written } {
  const from = join(manifestFixtures, kind);
  const folder = mkdtempSync(join(tmpdir(), "seqserve-draft-"));
  for (const file of readdirSync(from)) if (file.endsWith(".onnx")) copyFileSync(join(from, file), join(folder, file));
  const written = JSON.parse(readFileSync(join(from, "seqserve.json"), "utf8")) as Written;
  const list = (symbols: string[]) => symbols.map((one) => one.replace("\t", "\\t").replace("\n", "\\n")).join("\n");
  writeFileSync(join(folder, "source.txt"), list(written.source.vocab));
  writeFileSync(join(folder, "target.txt"), list(written.target.vocab));
  return { folder, written };
}

for (const kind of readdirSync(manifestFixtures)) {
  test(`${kind}: the draft has the roles of the written manifest`, async () => {
    const { folder, written } = bareFolder(kind);
    const draft = await draftManifest(folder);
    const drafted = checkManifest("draft", JSON.parse(draft!.text)) as unknown as Written;
    assert.deepEqual(drafted.encoder, written.encoder);
    assert.deepEqual(drafted.decoder, written.decoder);
    assert.equal(drafted.target.bos, written.target.bos);
    assert.equal(drafted.target.eos, written.target.eos);
    assert.ok(draft!.unsure.length > 0);
  });
}

test("nothing is drafted where there are no graphs, or where the folder says itself what it is", async () => {
  assert.equal(await draftManifest(mkdtempSync(join(tmpdir(), "seqserve-empty-"))), null);
  assert.equal(await draftManifest("models/g2p-en"), null);
  assert.equal(await draftManifest("models/itn-en"), null);
});
