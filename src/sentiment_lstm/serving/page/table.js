// The classified rows as a table, sorted by any column and shown a part at a time.
import { byId, element, percent } from "./dom.js";
import { replaceMarkup } from "./words.js";

const PART = 200; // more rows at once make a phone slow
const LONGEST = 300; // characters of a text that are shown
const COLUMNS = [
  { key: "number", name: "Row" },
  { key: "text", name: "Text" },
  { key: "label", name: "Label" },
  { key: "confidence", name: "Confidence" },
];

export class ResultTable {
  constructor() {
    this.rows = [];
    this.key = "number";
    this.falling = false;
    this.limit = PART;
    byId("more").addEventListener("click", () => {
      this.limit += PART;
      this.draw();
      // A button that is hidden loses the focus, and the keyboard would begin at the page's top.
      if (byId("more").hidden) byId("table").focus();
    });
    byId("head").replaceChildren(...COLUMNS.map((column) => this.headCell(column)));
  }

  show(rows) {
    this.rows = rows;
    this.limit = PART;
    this.draw();
  }

  headCell({ key, name }) {
    const cell = element("th", "", key);
    const button = element("button", name);
    cell.scope = "col";
    cell.dataset.key = key;
    button.type = "button";
    button.addEventListener("click", () => {
      this.falling = this.key === key && !this.falling;
      this.key = key;
      this.draw();
    });
    cell.append(button);
    return cell;
  }

  draw() {
    for (const cell of byId("head").children) {
      const order = this.falling ? "descending" : "ascending";
      cell.setAttribute("aria-sort", cell.dataset.key === this.key ? order : "none");
    }
    const sorted = this.rows.toSorted((one, other) => this.compare(one, other));
    byId("rows").replaceChildren(...sorted.slice(0, this.limit).map(bodyRow));
    byId("more").hidden = sorted.length <= this.limit;
    byId("more").textContent = `Show more rows (${Math.max(sorted.length - this.limit, 0)} left)`;
  }

  compare(one, other) {
    const [left, right] = [one[this.key], other[this.key]];
    // What has no confidence stands last, whichever way the others are sorted.
    if (left === null || right === null) return (left === null) - (right === null);
    const order = typeof left === "string" ? left.localeCompare(right) : left - right;
    return this.falling ? -order : order;
  }
}

function bodyRow({ number, text, label, confidence, named }) {
  const row = element("tr");
  const shown = replaceMarkup(text, " ").trim();
  const values = {
    number: String(number),
    text: shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown || "–",
    label,
    confidence: confidence === null ? "–" : percent(confidence),
  };
  for (const { key } of COLUMNS) {
    const cell = element("td", "", key === "label" && !named ? "label withheld" : key);
    const content = element("div", values[key]); // a cell itself cannot be cut to a few lines
    if (key === "text") content.dir = "auto";
    cell.append(content);
    row.append(cell);
  }
  return row;
}
