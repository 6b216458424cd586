// What a device changes about precision: one table of choices.
import assert from "node:assert/strict";
import { test } from "node:test";
import { int8Fault, preferredDtype, preferredSuffix } from "../../../../../src/inference/protocol/precision.js";
import { checkTolerance } from "../../../../../src/inference/engine/models/transformer/proof.js";

test("CUDA takes half precision and no int8; the CPU the exact files", () => {
  assert.deepEqual([preferredSuffix("cpu"), preferredSuffix("cuda:0")], ["", "_fp16"]);
  assert.equal(int8Fault("cpu"), null);
  assert.match(int8Fault("cuda:2") ?? "", /^int8 is made for CPUs .*: on cuda:2 take auto, fp16 or fp32$/u);
  const preferences = (device: string) => ["int8", "fp16", undefined].map((dtype) => preferredDtype(dtype, device));
  assert.deepEqual(preferences("cpu"), ["int8", "fp16", "auto"]);
  assert.deepEqual(preferences("cuda:0"), ["auto", "fp16", "auto"]);
});

test("the self-check is as strict as the arithmetic allows", () => {
  assert.deepEqual(checkTolerance("float32", "cpu"), {}, "1e-4, the same best ids");
  assert.deepEqual(checkTolerance("float32", "cuda:0"), checkTolerance("half", "cuda:0"), "TF32 has three digits");
  assert.deepEqual(checkTolerance("half", "cpu"), { tolerance: 0.005 });
  assert.deepEqual(checkTolerance("int8", "cpu"), { tolerance: 0.25, sameArgmax: false });
});
