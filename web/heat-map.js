// A map of tokens over source tokens. It is a table: colours for the eye, exact values in the cells for screen readers, on hover, and on demand.
import { element, figures, readable } from "./elements.js";

/**
 * @param {{ title: string, note: string, rows: string[], columns: string[], values: (number | null)[][],
 *   strength(value: number): number, unit: string, legend: [string, string] }} map strength is -1…1, on a scale that never changes
 */
export function heatMap(map) {
  const { title, note, legend } = map;
  const readout = element("p", { class: "readout", "aria-hidden": "true" }, note);
  const id = `map-${title.toLowerCase()}`;
  const figure = element(
    "figure",
    { class: "map" },
    element("figcaption", {}, element("h3", { id }, title), scale(legend)),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id }, table(map, readout)),
    readout,
  );
  return figure;
}

function scale([low, high]) {
  return element(
    "span",
    { class: "scale" },
    low,
    element("span", { class: low === "0" ? "ramp" : "ramp both", "aria-hidden": "true" }),
    high,
  );
}

function table(map, readout) {
  const { title, note, rows, columns } = map;
  // Names like </s> alone don't turn the others.
  const turnsAll = columns.some((name) => readable(name).length > 2 && !/^<.*>$/u.test(name));
  const head = columns.map((name) => columnHead(readable(name), turnsAll));
  const body = rows.map((name, row) =>
    element("tr", {}, element("th", { scope: "row" }, readable(name)), ...cells(map, row)),
  );
  const made = element(
    "table",
    { class: "heat" },
    element("caption", { class: "unseen" }, `${title}. Rows: output. Columns: input. ${note}`),
    element("thead", {}, element("tr", {}, element("td", {}), ...head)),
    element("tbody", {}, ...body),
  );
  made.addEventListener("pointerover", ({ target }) => {
    readout.textContent = target.closest("td[title]")?.title ?? note;
  });
  made.addEventListener("pointerleave", () => (readout.textContent = note));
  return made;
}

function columnHead(name, turns) {
  return element("th", { scope: "col", class: (turns || name.length > 2) && "long" }, element("span", {}, name));
}

function cells({ rows, columns, values, strength, unit }, row) {
  return columns.map((column, at) => {
    const value = values[row]?.[at] ?? null;
    if (value === null) return element("td", { class: "none" }, element("span", { class: "value" }, "–"));
    const shown = figures(value, Math.abs(value) < 9.995 ? 2 : 1);
    const title = `${readable(rows[row])} ← ${readable(column)}: ${figures(value, 4)}${unit}`;
    const power = strength(value);
    const cell = element(
      "td",
      { title, class: power < 0 ? "against" : "for", "data-value": value },
      element("span", { class: "value" }, shown),
    );
    cell.style.setProperty("--power", `${(Math.abs(power) * 100).toFixed(1)}%`);
    return cell;
  });
}
