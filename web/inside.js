// What POST /explain tells of one output: its tokens in full, and the two maps.
import { post } from "./api.js";
import { heatMap } from "./heat-map.js";

const notes = {
  attention: "Where the decoder looked: each row sums to 1. A view of the mechanism, no proof of cause.",
  occlusion:
    "What each input token was worth: how far the output token's probability falls without it. Figures are drops of its logarithm, in nats.",
};

export async function explain(request, output, signal) {
  return post("explain", { ...request, output }, signal);
}

/** @param explanation what /explain answered */
export function showMaps(place, { source, tokens, attention, occlusion }) {
  const columns = source.map(({ text }) => text);
  const rows = tokens.map(({ text, piece, special }) => (special ? piece : text.trim() || piece));
  const maps = [];
  if (attention !== null) {
    const own = { title: "Attention", note: notes.attention, values: attention, unit: "", legend: ["0", "1"] };
    maps.push(heatMap({ ...own, rows, columns, strength: (value) => value }));
  }
  if (occlusion !== null) {
    const own = { title: "Occlusion", note: notes.occlusion, values: occlusion, unit: " nats" };
    maps.push(heatMap({ ...own, rows, columns, legend: ["against", "for"], strength: lostShare }));
  }
  place.replaceChildren(...maps);
}

// A drop of d nats leaves e^-d of the probability: the share that is lost is on a scale from 0 to 1 whatever the model.
function lostShare(drop) {
  return Math.sign(drop) * (1 - Math.exp(-Math.abs(drop)));
}
