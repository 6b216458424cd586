// What shapes the distribution before a draw: temperature and the cut-offs, in transformers' order and with its rules.
// A cut-off removes by setting minus infinity; each looks at what the one before it has left. Probabilities are float64.
import type { Decoding } from "../../../protocol/engine-protocol.js";
import type { Candidates } from "./candidates.js";
import { cutAtMass, softmax, spread } from "./mass.js";
import { largest } from "./selection.js";

type Warper = (candidates: Candidates) => void;

/** The warpers of a sampled sequence, first to last (transformers' _get_logits_processor, from TemperatureLogitsWarper on). */
export function warpersOf(decoding: Decoding): readonly Warper[] {
  const { temperature, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff } = decoding;
  const warpers: Warper[] = [];
  if (temperature !== 1) warpers.push((candidates) => divide(candidates, Math.fround(temperature)));
  if (topK > 0) warpers.push((candidates) => candidates.keepTop(topK));
  if (topP < 1) warpers.push(dropAfter((candidates) => cutTopP(candidates, topP)));
  if (minP !== null) warpers.push(dropAfter((candidates) => cutMinP(candidates, minP)));
  if (typicalP < 1) warpers.push(dropAfter((candidates) => cutTypical(candidates, typicalP)));
  if (isFraction(epsilonCutoff)) warpers.push(dropAfter((candidates) => cutBelow(candidates, epsilonCutoff)));
  if (isFraction(etaCutoff)) warpers.push(dropAfter((candidates) => cutEta(candidates, etaCutoff)));
  return warpers;
}

// What is cut goes at once: the next warper then has few scores to look at, even of a large vocabulary.
function dropAfter(cut: Warper): Warper {
  return (candidates) => {
    cut(candidates);
    candidates.dropForbidden();
  };
}

function isFraction(value: number): boolean {
  return value > 0 && value < 1;
}

function divide({ scores, size }: Candidates, by: number): void {
  for (let slot = 0; slot < size; slot += 1) scores[slot] = (scores[slot] ?? 0) / by;
}

/** TopPLogitsWarper: drops the least probable ids as long as their mass stays within 1 - topP; the best always stays. */
function cutTopP(candidates: Candidates, topP: number): void {
  const scores = live(candidates);
  const max = largest(scores);
  const limit = 1 - topP;
  const keys = new Float64Array(scores.length);
  for (let slot = 0; slot < scores.length; slot += 1) keys[slot] = (scores[slot] ?? 0) - max;
  const firstKept = cutAtMass(keys, softmax(scores), -spread, (sum) => sum > limit);
  let tiesToDrop = firstKept.ties - 1;
  for (let slot = scores.length - 1; slot >= 0; slot -= 1) {
    const key = keys[slot] ?? 0;
    const isDropped = key < firstKept.key || (key === firstKept.key && tiesToDrop > 0);
    if (key === firstKept.key) tiesToDrop -= 1;
    if (isDropped) scores[slot] = -Infinity;
  }
}

/** MinPLogitsWarper: ids at least `minP` times as probable as the best. */
function cutMinP(candidates: Candidates, minP: number): void {
  const scores = live(candidates);
  const probabilities = softmax(scores);
  const lowest = minP * largest(probabilities);
  removeWhere(scores, (_, slot) => (probabilities[slot] ?? 0) < lowest);
}

/** TypicalLogitsWarper: ids whose surprise is nearest to the entropy, until they reach the mass (Meister et al. 2022). */
function cutTypical(candidates: Candidates, mass: number): void {
  const scores = live(candidates);
  const probabilities = softmax(scores);
  const entropy = entropyOf(probabilities);
  const distances = new Float64Array(scores.length);
  for (let slot = 0; slot < scores.length; slot += 1) {
    const p = probabilities[slot] ?? 0;
    distances[slot] = p > 0 ? Math.abs(-Math.log(p) - entropy) : Infinity;
  }
  const { key } = cutAtMass(distances, probabilities, 0, (sum) => sum >= mass);
  removeWhere(scores, (_, slot) => (distances[slot] ?? 0) > key);
}

/** EpsilonLogitsWarper: ids of at least this probability, and always the best (Hewitt et al. 2022). */
function cutBelow(candidates: Candidates, lowest: number): void {
  const scores = live(candidates);
  const probabilities = softmax(scores);
  const best = largest(scores);
  removeWhere(scores, (score, slot) => (probabilities[slot] ?? 0) < lowest && score < best);
}

/** EtaLogitsWarper: as epsilon, with a cut-off that falls with the entropy (Hewitt et al. 2022). */
function cutEta(candidates: Candidates, epsilon: number): void {
  const entropy = entropyOf(softmax(live(candidates)));
  cutBelow(candidates, Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy)));
}

function live({ scores, size }: Candidates): Float32Array {
  return scores.subarray(0, size);
}

function entropyOf(probabilities: Float64Array): number {
  let entropy = 0;
  for (let slot = 0; slot < probabilities.length; slot += 1) {
    const p = probabilities[slot] ?? 0;
    if (p > 0) entropy -= p * Math.log(p);
  }
  return entropy;
}

function removeWhere(scores: Float32Array, isOut: (score: number, slot: number) => boolean): void {
  for (let slot = 0; slot < scores.length; slot += 1) {
    if (isOut(scores[slot] ?? 0, slot)) scores[slot] = -Infinity;
  }
}
