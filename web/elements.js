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

/** 0.9871 → "98.7 %", certain ones without decimals. */
export function percent(logprob) {
  const value = Math.exp(logprob) * 100;
  if (value >= 99.95) return "100 %";
  return `${value >= 10 ? value.toFixed(1) : value.toPrecision(2)} %`;
}
