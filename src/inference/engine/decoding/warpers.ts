// What shapes the distribution before a draw: temperature and the cut-offs, in transformers' order and with its rules.
// A cut-off removes by setting minus infinity; each looks at what the one before it has left.
import type { Decoding } from "../../../generation.js";
import type { Candidates } from "./candidates.js";
import { cutAtMass, softmax, type MassCut } from "./mass.js";

type Warper = (candidates: Candidates) => void;

/** The warpers of a sampled sequence, first to last (transformers' _get_logits_processor, from TemperatureLogitsWarper on). */
export function warpersOf(decoding: Decoding): readonly Warper[] {
  const { temperature, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff } = decoding;
  const warpers: Warper[] = [];
  if (temperature !== 1) warpers.push((candidates) => divide(candidates, Math.fround(temperature)));
  if (topK > 0) warpers.push((candidates) => candidates.keepTop(topK));
  if (topP < 1) warpers.push((candidates) => cutTopP(candidates, topP));
  if (minP !== null) warpers.push((candidates) => cutMinP(candidates, minP));
  if (typicalP < 1) warpers.push((candidates) => cutTypical(candidates, typicalP));
  if (epsilonCutoff > 0 && epsilonCutoff < 1) warpers.push((candidates) => cutBelow(candidates, epsilonCutoff));
  if (etaCutoff > 0 && etaCutoff < 1) warpers.push((candidates) => cutEta(candidates, etaCutoff));
  return warpers;
}

function divide({ scores, size }: Candidates, by: number): void {
  for (let slot = 0; slot < size; slot += 1) scores[slot] = (scores[slot] ?? 0) / by;
}

/** TopPLogitsWarper: the fewest most probable ids that reach the mass; at least one. */
function cutTopP(candidates: Candidates, topP: number): void {
  const scores = live(candidates);
  const max = largest(scores);
  const distances = Float64Array.from(scores, (score) => max - score);
  const cut = cutAtMass(distances, softmax(scores), topP);
  removeBeyond(scores, distances, cut);
}

// Ties at the cut stay in order of slot, so that as few stay as in transformers, whose sort leaves their order open.
function removeBeyond(scores: Float32Array, distances: Float64Array, cut: MassCut): void {
  let ties = 0;
  distances.forEach((distance, slot) => {
    if (distance === cut.distance) ties += 1;
    if (distance > cut.distance || (distance === cut.distance && ties > cut.ties)) scores[slot] = -Infinity;
  });
}

/** MinPLogitsWarper: ids at least `minP` times as probable as the best. */
function cutMinP(candidates: Candidates, minP: number): void {
  const scores = live(candidates);
  const lowest = largest(scores) + Math.log(minP);
  removeWhere(scores, (score) => score < lowest);
}

/** TypicalLogitsWarper: ids whose surprise is nearest to the entropy, until they reach the mass (Meister et al. 2022). */
function cutTypical(candidates: Candidates, mass: number): void {
  const scores = live(candidates);
  const probabilities = softmax(scores);
  const entropy = entropyOf(probabilities);
  const distances = probabilities.map((p) => (p > 0 ? Math.abs(-Math.log(p) - entropy) : Infinity));
  const { distance } = cutAtMass(distances, probabilities, mass);
  removeWhere(scores, (_, slot) => (distances[slot] ?? 0) > distance);
}

/** EpsilonLogitsWarper: ids of at least this probability, and always the best (Hewitt et al. 2022). */
function cutBelow(candidates: Candidates, probability: number): void {
  const scores = live(candidates);
  const probabilities = softmax(scores);
  const best = largest(scores);
  removeWhere(scores, (score, slot) => (probabilities[slot] ?? 0) < probability && score < best);
}

/** EtaLogitsWarper: as epsilon, with a cut-off that falls with the entropy (Hewitt et al. 2022). */
function cutEta(candidates: Candidates, epsilon: number): void {
  const entropy = entropyOf(softmax(live(candidates)));
  cutBelow(candidates, Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy)));
}

function live({ scores, size }: Candidates): Float32Array {
  return scores.subarray(0, size);
}

function largest(scores: Float32Array): number {
  return scores.reduce((max, score) => (score > max ? score : max), -Infinity);
}

function entropyOf(probabilities: Float64Array): number {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

function removeWhere(scores: Float32Array, isOut: (score: number, slot: number) => boolean): void {
  for (let slot = 0; slot < scores.length; slot += 1) {
    if (isOut(scores[slot] ?? 0, slot)) scores[slot] = -Infinity;
  }
}
