// The output as a row of tokens with their probabilities; each has its alternatives in a card of its own.
import { element, figures, percent, probabilityOf } from "./elements.js";

/**
 * @typedef {{ id: number, text: string, special: boolean, piece?: string, given?: boolean, logprob: number | null, entropy?: number,
 *   top?: { id: number, text: string, logprob: number }[] }} Token
 */

/**
 * Whoever has the keyboard on a token keeps it on the one in its place.
 * @param {(at: number, id: number, byKeyboard: boolean) => void} onPick an alternative was chosen at this place
 */
export function showTokens(list, tokens, onPick) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(...tokens.map((token, at) => tokenItem(token, at, onPick)));
  focusToken(list, focused);
}

export function focusToken(list, at) {
  list.children[at]?.querySelector(".token").focus();
}

export function addToken(list, token, onPick) {
  list.append(tokenItem(token, list.children.length, onPick));
}

function tokenItem(token, at, onPick) {
  const { logprob, special, entropy } = token;
  const name = nameOf(token);
  // A forced prefix comes without scores until /explain has told them.
  const isUnscored = logprob === null && entropy === undefined;
  const probability = isUnscored ? "given" : percent(logprob);
  const card = cardOf(token, at, onPick);
  const button = element(
    "button",
    { type: "button", class: "token" },
    element("span", { class: special ? "symbol" : "word" }, name),
    element("span", { class: "unseen" }, ", "),
    element("span", { class: "probability" }, probability),
    element("span", { class: "unseen" }, card === null ? "" : ", alternatives follow"),
  );
  // How unsure it was is what draws the eye.
  const doubt = isUnscored ? 0 : 1 - probabilityOf(logprob);
  button.style.setProperty("--doubt", `${Math.round(doubt * 100)}%`);
  const item = element("li", { onkeydown: dismiss, onpointerleave: reveal, onfocusout: reveal }, button);
  if (card !== null) {
    item.append(card);
    for (const kind of ["pointerenter", "focusin"]) item.addEventListener(kind, () => keepInside(card));
  }
  return item;
}

function nameOf({ text, piece, special }) {
  if (special) return piece ?? "end";
  return text.trim() || piece || "…";
}

function cardOf(token, at, onPick) {
  const { top = [], logprob, entropy } = token;
  if (top.length === 0) return null;
  const facts = [`log p ${logprob === null ? "–" : figures(logprob, 4)}`];
  if (entropy !== undefined) facts.push(`entropy ${figures(entropy, 3)} nats`);
  const choices = top.map((other) => element("li", {}, choice(other, token, at, onPick)));
  return element(
    "div",
    { class: "card" },
    element("p", { class: "facts" }, facts.join(" · ")),
    element("ul", { "aria-label": `Instead of ${nameOf(token)}` }, ...choices),
  );
}

function choice({ id, text, logprob }, token, at, onPick) {
  const isChosen = id === token.id;
  const name = text.trim() || "␣";
  const button = element(
    "button",
    { type: "button", "aria-current": isChosen && "true", onclick: ({ detail }) => onPick(at, id, detail === 0) },
    element("span", { class: "bar", "aria-hidden": "true" }),
    element("span", { class: "name" }, name),
    element("span", { class: "probability" }, percent(logprob)),
  );
  button.style.setProperty("--share", `${(probabilityOf(logprob) * 100).toFixed(1)}%`);
  button.title = isChosen ? "Continue from here as it is" : `Continue from here with ${name}`;
  return button;
}

// Cards go away at Escape, until pointer and focus have left.
function dismiss({ key, currentTarget }) {
  if (key !== "Escape") return;
  currentTarget.classList.add("dismissed");
  currentTarget.querySelector(".token").focus();
}

function reveal({ type, currentTarget, relatedTarget }) {
  if (type === "focusout" && currentTarget.contains(relatedTarget)) return;
  currentTarget.classList.remove("dismissed");
}

function keepInside(card) {
  card.classList.remove("from-right");
  const { right } = card.getBoundingClientRect();
  card.classList.toggle("from-right", right > document.documentElement.clientWidth - 8);
}
