// [B, S] or [S, B]: told by names and sizes that a graph declares, else by what changes in a memory when one token changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { areRows, type ProbedRuns } from "../../../../../src/inference/engine/models/manifest/load-encoder.js";
import {
  declaredTimeFirst,
  arrange,
  possibleOrders,
  rowsFirst,
} from "../../../../../src/inference/engine/models/manifest/time-first.js";

const tokens = (...dims: (number | string)[]) => ({ name: "ids", type: "int64", dims });

test("a name that tokens share with a tensor without their time is the batch's", () => {
  const lengths = tokens("N");
  assert.equal(declaredTimeFirst(tokens("N", "S"), [lengths], "batch"), false);
  assert.equal(declaredTimeFirst(tokens("S", "N"), [lengths], "batch"), true);
  assert.equal(declaredTimeFirst(tokens("S", "B"), [lengths], "batch"), null);
  assert.equal(declaredTimeFirst(tokens("", ""), [tokens("")], "batch"), null);
  assert.equal(declaredTimeFirst(tokens("N"), [lengths], "batch"), false);
});

test("a fixed 1 is the batch of a source and the time of a step", () => {
  assert.equal(declaredTimeFirst(tokens("S", 1), [], "batch"), true);
  assert.equal(declaredTimeFirst(tokens(1, "S"), [], "batch"), false);
  assert.equal(declaredTimeFirst(tokens(1, "B"), [], "time"), true);
  assert.equal(declaredTimeFirst(tokens("B", 1), [], "time"), false);
});

test("a mask goes as its names say, or is tried both ways", () => {
  assert.deepEqual(possibleOrders(true, tokens("S", "B"), tokens("B", "S")), [{ ids: true, mask: false }]);
  assert.deepEqual(possibleOrders(true, tokens("S", "B"), tokens("S", "B")), [{ ids: true, mask: true }]);
  assert.equal(possibleOrders(null, tokens("", ""), tokens("", "")).length, 4);
  assert.deepEqual(possibleOrders(false, tokens("B", "S"), undefined), [{ ids: false, mask: false }]);
});

test("turning there and back gives the same numbers", () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i);
  const { values: turned, dims } = arrange(values, [2, 3, 2], true);
  assert.deepEqual([...turned], [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
  assert.deepEqual(dims, [3, 2, 2]);
  assert.deepEqual(rowsFirst({ data: turned, dims }), { data: values, dims: [2, 3, 2] });
});

/** An encoder with a memory only: each position sees those before it in its own row, or nothing but itself. */
function probed(isTimeFirst: boolean, seesOthers: boolean): ProbedRuns {
  const run: ProbedRuns["run"] = async (sources) => {
    const [first, second] = [sources.length, sources[0]?.length ?? 0];
    const at = (a: number, b: number) => sources[a]?.[b] ?? 0;
    const data = new Float32Array(first * second);
    for (let a = 0; a < first; a += 1) {
      for (let b = 0; b < second; b += 1) {
        const before = isTimeFirst ? Math.max(a - 1, 0) : Math.max(b - 1, 0);
        data[a * second + b] = at(a, b) * 3 + (seesOthers ? at(isTimeFirst ? before : a, isTimeFirst ? b : before) : 0);
      }
    }
    return { memory: { data, dims: [first, second, 1] } };
  };
  return { file: "encoder.onnx", outputs: ["memory"], ids: [0, 1, 2, 3, 4], takesTwo: true, padTo: null, run };
}

test("rows whose positions see each other are rows; rows that see each other are not", async () => {
  assert.equal(await areRows(probed(false, true)), true);
  assert.equal(await areRows(probed(true, true)), false);
  assert.equal(await areRows(probed(false, false)), true, "nothing speaks against it");
});

test("a state that grows with length and not with rows says that rows are positions", async () => {
  const sized = (isTimeFirst: boolean): ProbedRuns => ({
    ...probed(false, false),
    run: async (sources) => {
      const batch = isTimeFirst ? (sources[0]?.length ?? 0) : sources.length;
      return { state: { data: new Float32Array(batch * 4), dims: [1, batch, 4] } };
    },
    outputs: ["state"],
  });
  assert.equal(await areRows(sized(false)), true);
  assert.equal(await areRows(sized(true)), false);
});
