// The n-best list of a beam search.
import { post } from "./api.js";
import { element, figures } from "./elements.js";

const mostBeams = 5;

/** Best first; empty where the model serves no beams. */
export async function candidates(request, model, signal) {
  const beams = Math.min(mostBeams, model.limits.max_beams);
  if (beams < 2) return [];
  const parameters = { ...request.parameters, num_beams: beams, num_return_sequences: beams };
  const { outputs } = await post("generate", { ...request, parameters }, signal);
  return outputs;
}

/** @param {(output: { ids: number[] }) => void} onChoose */
export function showCandidates(list, outputs, shownText, onChoose) {
  list.replaceChildren(
    ...outputs.map((output) => {
      const { text, score } = output;
      const button = element(
        "button",
        { type: "button", "aria-pressed": String(text === shownText), onclick: () => onChoose(output) },
        element("span", { class: "candidate" }, text),
        element("span", { class: "score" }, element("span", { class: "unseen" }, "score "), figures(score, 3)),
      );
      return element("li", {}, button);
    }),
  );
}
