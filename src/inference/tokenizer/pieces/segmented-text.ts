// Tokens to text where added tokens stand apart: runs of ordinary tokens become text on their own, joined by spaces.
// Source: PreTrainedTokenizer._decode of transformers 4.57 (legacy_added_tokens, spaces_between_special_tokens).
import { Pipeline, type Stage } from "../text-stages.js";

/** `standsApart` tells added tokens; `openRun` makes the stages that turn one run of other tokens into text (convert_tokens_to_string). */
export function segmentedText(standsApart: ReadonlySet<string>, openRun: () => Stage[]): Stage {
  let run: Pipeline | null = null;
  let runHasText = false;
  let hasParts = false;
  const separated = (text: string) => {
    const separator = hasParts && !runHasText ? " " : "";
    if (text === "") return "";
    runHasText = true;
    return separator + text;
  };
  const close = () => {
    const text = separated(run?.flush() ?? "");
    hasParts ||= runHasText;
    runHasText = false;
    run = null;
    return text;
  };
  return {
    push(token) {
      if (!standsApart.has(token)) {
        run ??= new Pipeline(openRun());
        return [separated(run.push(token))];
      }
      const before = close();
      const text = separated(token);
      hasParts = true;
      runHasText = false;
      return [before + text];
    },
    flush() {
      // The last run counts even if it is empty.
      const isEmptyEnd = run !== null && hasParts && !runHasText;
      const text = separated(run?.flush() ?? "");
      return [text === "" && isEmptyEnd ? " " : text];
    },
  };
}
