// Making and finding elements. Text goes in as text, never as markup.

/** @param {Record<string, unknown>} attributes with on… for listeners; false and null are left out */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** The element with this id. */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element #${id}`);
  return found;
}

/** A piece of a vocabulary as people read it: ▁ and Ġ are spaces. */
export function readable(piece) {
  return piece.replace(/[▁Ġ]/gu, " ").trim() || "␣";
}

/** With a minus sign, not a hyphen. */
export function figures(value, decimals) {
  const text = value.toFixed(decimals);
  return /^-0\.?0*$/u.test(text) ? text.slice(1) : text.replace("-", "−");
}

/** 0.9871 → "98.7 %", certain ones without decimals. */
export function percent(logprob) {
  const value = probabilityOf(logprob) * 100;
  if (value >= 99.95) return "100 %";
  if (value < 0.01) return "< 0.01 %";
  return `${value >= 10 ? value.toFixed(1) : value.toFixed(2)} %`;
}

/** null is JSON's word for minus infinity. */
export function probabilityOf(logprob) {
  return logprob === null ? 0 : Math.exp(logprob);
}
