// The classified rows as a table, sorted by any column and shown a part at a time.

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
    this.body = document.getElementById("rows");
    this.more = document.getElementById("more");
    this.more.addEventListener("click", () => {
      this.limit += PART;
      this.draw();
    });
    document.getElementById("head").replaceChildren(...COLUMNS.map((column) => this.headCell(column)));
  }

  show(rows) {
    this.rows = rows;
    this.limit = PART;
    this.draw();
  }

  headCell({ key, name }) {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    cell.className = key;
    cell.dataset.key = key;
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      this.falling = this.key === key && !this.falling;
      this.key = key;
      this.draw();
    });
    cell.append(button);
    return cell;
  }

  draw() {
    for (const cell of document.getElementById("head").children) {
      const order = this.falling ? "descending" : "ascending";
      cell.setAttribute("aria-sort", cell.dataset.key === this.key ? order : "none");
    }
    const sorted = this.rows.toSorted((one, other) => this.compare(one, other));
    this.body.replaceChildren(...sorted.slice(0, this.limit).map(bodyRow));
    this.more.hidden = sorted.length <= this.limit;
    this.more.textContent = `Show more rows (${Math.max(sorted.length - this.limit, 0)} left)`;
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
  const row = document.createElement("tr");
  const shown = text.replace(/<br\s*\/?>/gi, " ").trim();
  const values = {
    number: String(number),
    text: shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown || "–",
    label,
    confidence: confidence === null ? "–" : `${(confidence * 100).toFixed(1)} %`,
  };
  for (const { key } of COLUMNS) {
    const cell = document.createElement("td");
    cell.className = key === "label" && !named ? "label withheld" : key;
    cell.textContent = values[key];
    row.append(cell);
  }
  return row;
}
