// A CSV file, classified row by row: progress, a histogram, a table that sorts, a download.
import { formatCsv, parseCsv } from "./csv.js";
import { byId, element } from "./dom.js";
import { drawHistogram } from "./histogram.js";
import { PageError, isTooLong } from "./model.js";
import { ResultTable } from "./table.js";
import { isBlank } from "./words.js";

const LARGEST_BYTES = 200e6;
const PAUSE_EVERY_MS = 40; // so that the page answers while it works
const REVOKE_AFTER_MS = 60_000; // by then every browser has read what it downloads
const REASONS = ["withheld", "no text", "too long"]; // what stands where no label does
const USUAL_COLUMNS = ["text", "review", "content", "comment", "body", "sentence"];

export class FileView {
  constructor(model, report) {
    this.model = model;
    this.report = report;
    this.threshold = 0;
    this.turn = 0;
    this.results = [];
    this.table = new ResultTable();
    const drop = byId("drop");
    byId("file").addEventListener("change", () => this.open(byId("file").files[0]));
    byId("column").addEventListener("change", () => this.classify());
    byId("download").addEventListener("click", () => this.download());
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.open(event.dataTransfer.files[0]);
    });
    // A file that misses the zone would otherwise replace the page.
    for (const name of ["dragover", "drop"]) {
      globalThis.addEventListener(name, (event) => event.preventDefault());
    }
    this.open(byId("file").files[0]); // chosen while the model was loading
  }

  setThreshold(value) {
    this.threshold = value;
    if (this.results.length) this.show();
  }

  async open(file) {
    if (!file) return;
    const turn = ++this.turn;
    byId("results").hidden = true;
    byId("column-choice").hidden = true;
    byId("progress-row").hidden = true;
    byId("file-state").textContent = "";
    this.results = [];
    this.report(null);
    try {
      const content = await read(file);
      if (turn !== this.turn) return; // another file was chosen meanwhile
      this.file = content;
      this.name = file.name;
    } catch (error) {
      if (turn === this.turn) this.report(error);
      return;
    }
    const { header } = this.file;
    byId("column").replaceChildren(
      ...header.map((name, place) => new Option(name || `column ${place + 1}`, String(place))),
    );
    byId("column").value = String(likelyColumn(this.file));
    byId("column-choice").hidden = false;
    await this.classify();
  }

  async classify() {
    const turn = ++this.turn;
    const column = Number(byId("column").value);
    const { rows } = this.file;
    const results = [];
    this.report(null);
    byId("results").hidden = true;
    byId("progress-row").hidden = false;
    byId("file-state").textContent = `Classifying ${counted(rows.length)} …`;
    let paused = performance.now();
    try {
      for (const row of rows) {
        const text = row[column];
        const answer = isBlank(text) || isTooLong(text) ? null : await this.model.classify(text);
        results.push({ number: results.length + 1, text, answer });
        if (performance.now() - paused > PAUSE_EVERY_MS) {
          byId("progress").value = results.length / rows.length;
          await new Promise((resolve) => setTimeout(resolve));
          paused = performance.now();
        }
        if (turn !== this.turn) return; // another file or column was chosen meanwhile
      }
    } catch (error) {
      if (turn !== this.turn) return;
      byId("progress-row").hidden = true;
      byId("file-state").textContent = "";
      this.report(error);
      return;
    }
    byId("progress-row").hidden = true;
    this.results = results;
    byId("results").hidden = false;
    this.show();
  }

  show() {
    const shown = this.results.map(({ number, text, answer }) => {
      const confidence = answer?.confidence ?? null;
      const named = answer !== null && !this.withholds(answer);
      const reason = answer ? "withheld" : isBlank(text) ? "no text" : "too long";
      return { number, text, label: named ? answer.label : reason, confidence, named };
    });
    byId("file-state").textContent = `${this.name}: ${counted(shown.length)}.`;
    this.showCounts(shown);
    byId("histogram-heading").textContent = this.threshold
      ? "Texts by confidence; hollow ones are withheld"
      : "Texts by confidence";
    this.table.show(shown);
    byId("histogram").replaceChildren(
      drawHistogram(
        shown.map((row) => row.confidence).filter((confidence) => confidence !== null),
        { from: 1 / this.model.labels.length, threshold: this.threshold },
      ),
    );
  }

  showCounts(shown) {
    const told = [
      ...this.model.labels.map((label) => ({ label, named: true })),
      ...REASONS.map((label) => ({ label, named: false })),
    ];
    for (const entry of told) {
      entry.count = shown.filter((row) => row.label === entry.label && row.named === entry.named).length;
    }
    byId("counts").replaceChildren(
      ...told.filter(({ named, count }) => named || count > 0).map(({ label, count }) => {
        const item = element("li");
        item.append(element("strong", count.toLocaleString("en")), ` ${label}`);
        return item;
      }),
    );
  }

  withholds(answer) {
    return answer.confidence < this.threshold;
  }

  /** The rows as they stand in the file, whatever the table shows, with two columns behind. */
  download() {
    const { header, rows, delimiter } = this.file;
    const free = (name) => (header.includes(name) ? free(`predicted_${name}`) : name);
    const lines = rows.map((row, place) => {
      const { answer } = this.results[place];
      if (!answer) return [...row, "", ""];
      return [...row, this.withholds(answer) ? "" : answer.label, answer.confidence.toFixed(6)];
    });
    const content = formatCsv([[...header, free("label"), free("confidence")], ...lines], delimiter);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
    link.download = this.name.replace(/(\.[^.]*)?$/, "-labelled$1");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_AFTER_MS);
  }
}

async function read(file) {
  if (file.size > LARGEST_BYTES) {
    throw new PageError(
      `${file.name} is larger than ${LARGEST_BYTES / 1e6} MB; cut it, or use \`sentiment-lstm predict\`.`,
    );
  }
  let content;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new PageError(`${file.name} is not UTF-8 text; save it as “CSV UTF-8” and choose it again.`);
  }
  let parsed;
  try {
    parsed = parseCsv(content);
  } catch (error) {
    throw new PageError(`${file.name} is no readable CSV file: ${error.message}.`);
  }
  if (!parsed.rows.length) throw new PageError(`${file.name} holds no rows below its header.`);
  return parsed;
}

/** Guess the column of the text: by its name, or else the one of the longest cells. */
function likelyColumn({ header, rows }) {
  const names = header.map((name) => name.trim().toLowerCase());
  for (const usual of USUAL_COLUMNS) if (names.includes(usual)) return names.indexOf(usual);
  const lengths = header.map((_, place) =>
    rows.slice(0, 100).reduce((sum, row) => sum + row[place].length, 0),
  );
  return lengths.indexOf(Math.max(...lengths));
}

function counted(number) {
  return `${number.toLocaleString("en")} ${number === 1 ? "row" : "rows"}`;
}
