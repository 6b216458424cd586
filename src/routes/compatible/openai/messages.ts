// From a chat to one source text: the last user message, or all messages in the form that the model's seqserve.json gives. Pure.
import { refuse } from "../../../errors.js";
import type { ChatForm } from "../../../inference/catalog/model-info.js";
import type { ChatMessage } from "./schemas.js";

/** Throws AppError "validation" that names a message. */
export function chatToText(messages: readonly ChatMessage[], form: ChatForm | null): string {
  const texts = messages.map(messageText);
  const last = messages.length - 1;
  if (messages[last]?.role !== "user") refuse(`messages[${last}].role`, "the last message must be the user's");
  if (form !== null) return formatChat(messages, texts, form);
  const other = messages.findIndex(({ role }) => role !== "user" && role !== "assistant");
  if (other >= 0)
    refuse(`messages[${other}].role`, "this model takes the last user message only: no instructions beside it");
  const text = texts[last] ?? "";
  if (text === "") refuse(`messages[${last}].content`, "must not be empty");
  return text;
}

function formatChat(messages: readonly ChatMessage[], texts: readonly string[], form: ChatForm): string {
  const turns = messages.map(({ role }, i) => {
    const pattern = { system: form.system, developer: form.system, user: form.user, assistant: form.assistant }[role];
    if (pattern === undefined) refuse(`messages[${i}].role`, `this model has no form for it (chat in seqserve.json)`);
    // A function, because $& and its like mean something in a replacement text.
    return pattern.replace("{}", () => texts[i] ?? "");
  });
  return turns.join("") + (form.prompt ?? "");
}

function messageText({ content }: ChatMessage, i: number): string {
  if (typeof content === "string") return content;
  return content
    .map(({ type, text }, k) => {
      if (type === "text" && text !== undefined) return text;
      return refuse(`messages[${i}].content[${k}]`, "only parts of type text are supported");
    })
    .join("");
}
