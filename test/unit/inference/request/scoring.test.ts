// Scoring a given output, for every kind of model: the log-probabilities are those of choosing it, and it can be taken over like anything else.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { GenerationRequest } from "../../../../src/generation.js";
import { createInference, type Inference } from "../../../../src/inference/inference.js";
import { inferenceOptions } from "../../../support/models/inference-options.js";
import { logOf, takenOver, undisturbed } from "../../../support/models/take-over.js";

const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-scoring-"));
let shipped: Inference;
let zoo: Inference;

before(async () => {
  shipped = await createInference(inferenceOptions({ modelsDir: "models", cacheDir }));
  zoo = await createInference(inferenceOptions({ modelsDir: "test/zoo", cacheDir }));
  await Promise.all([shipped.ready, zoo.ready]);
});
after(async () => {
  await Promise.all([shipped.close(), zoo.close()]);
  rmSync(cacheDir, { recursive: true, force: true });
});

const requests: readonly (GenerationRequest & { readonly model: string })[] = [
  { model: "g2p-en", inputs: "extraordinary", parameters: {} },
  { model: "itn-en", inputs: "pay three hundred and five dollars", parameters: {} },
  { model: "nllb", inputs: "the old town", parameters: { tgt_lang: "fra_Latn", max_new_tokens: 12 } },
  { model: "bart", inputs: "naïve café", parameters: { max_new_tokens: 12 } },
  { model: "t5", inputs: "the old town", parameters: { max_new_tokens: 12 } },
  { model: "marian", inputs: "the old town", parameters: { max_new_tokens: 12 } },
];

for (const request of requests) {
  const inferenceOf = () => (request.model.endsWith("-en") ? shipped : zoo);

  test(`${request.model}: the ids that were chosen score as they did when chosen, whatever chose them`, async () => {
    const inference = inferenceOf();
    for (const options of [{}, { num_beams: 3 }, { do_sample: true, seed: 3, repetition_penalty: 1.5 }]) {
      const parameters = { ...request.parameters, ...options, details: true, top_n_tokens: 3 };
      const prepared = await inference.prepare({ ...request, parameters });
      const [chosen = assert.fail()] = (await undisturbed(inference, prepared)).end.outputs;
      const { whole, source } = await inference.scoring(prepared, chosen.ids);
      const [output = assert.fail()] = (await undisturbed(inference, whole)).end.outputs;
      assert.deepEqual(output.ids, chosen.ids);
      assert.equal(output.text, chosen.text);
      const generated = output.tokens.slice(output.tokens.length - chosen.tokens.length);
      generated.forEach(({ logprob = 0 }, at) => {
        const expected = chosen.tokens[at]?.logprob ?? Number.NaN;
        assert.ok(Math.abs(logprob - expected) < 1e-3, `${JSON.stringify(options)} ${at}: ${logprob}, not ${expected}`);
      });
      assert.deepEqual(
        source.map(({ id }) => id),
        prepared.sourceIds,
      );
    }
  });

  test(`${request.model}: a scoring that another worker takes over ends as if undisturbed`, async () => {
    const inference = inferenceOf();
    const prepared = await inference.prepare({ ...request, parameters: { ...request.parameters, top_n_tokens: 2 } });
    const [chosen = assert.fail()] = (await undisturbed(inference, prepared)).end.outputs;
    const { whole, without } = await inference.scoring(prepared, chosen.ids);
    for (const scored of [whole, without.find((other) => other !== null) ?? assert.fail()]) {
      const told = await undisturbed(inference, JSON.parse(JSON.stringify(scored)) as typeof scored);
      for (const cut of [0, 1, told.tokens.length - 1, told.tokens.length]) {
        assert.deepEqual(await takenOver(inference, scored, logOf(told.tokens.slice(0, cut))), told, `after ${cut}`);
      }
    }
  });
}

test("without a source token: just that one is gone, ids are new, specials stay", async () => {
  const prepared = await zoo.prepare({ model: "bart", inputs: "the old town", parameters: {} });
  const { source, without, whole } = await zoo.scoring(prepared, [5, 6]);
  const ids = new Set([prepared.id, whole.id]);
  without.forEach((other, at) => {
    assert.equal(other === null, source[at]?.special);
    if (other === null) return;
    assert.deepEqual(other.sourceIds, [...prepared.sourceIds.slice(0, at), ...prepared.sourceIds.slice(at + 1)]);
    assert.deepEqual(other.scored, [5, 6]);
    ids.add(other.id);
  });
  assert.equal(ids.size, 2 + without.filter((other) => other !== null).length);
});
