// One text, classified as it is typed: the label, its probabilities, and every word's pull.
import { byId, element, percent } from "./dom.js";
import { checkLength } from "./model.js";
import { isBlank, replaceMarkup } from "./words.js";

const PAUSE_MS = 150; // a quick typist's time between two keys
const STRONGEST = 8;
const LEVELS = [0.2, 0.4, 0.75]; // of the strongest pull in the text

export class TextView {
  constructor(model, report) {
    this.model = model;
    this.report = report;
    this.threshold = 0;
    this.turn = 0;
    this.answer = null;
    this.field = byId("text");
    this.field.addEventListener("beforeinput", (event) => this.refuseTooLong(event));
    this.field.addEventListener("input", () => this.later());
    if (!isBlank(this.field.value)) this.later(); // the browser kept it over a reload
  }

  setThreshold(value) {
    this.threshold = value;
    if (this.answer) this.showVerdict();
  }

  /** Stop a paste that the field itself would take minutes to lay out. */
  refuseTooLong(event) {
    try {
      checkLength(event.data ?? event.dataTransfer?.getData("text/plain") ?? "");
    } catch (error) {
      event.preventDefault();
      this.report(error);
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.classify(), PAUSE_MS);
  }

  async classify() {
    const text = this.field.value;
    const turn = ++this.turn;
    if (isBlank(text)) {
      this.clear(null);
      return;
    }
    try {
      const answer = await this.model.classify(text, { explain: true });
      if (turn !== this.turn) return; // the text has changed meanwhile
      this.answer = answer;
      this.report(null);
      this.showVerdict();
      this.showProbabilities();
      this.showWords(text);
      byId("answer").hidden = false;
    } catch (error) {
      if (turn === this.turn) this.clear(error);
    }
  }

  /** Take the last answer away, which is none of the text that stands there now. */
  clear(error) {
    this.answer = null;
    byId("answer").hidden = true;
    byId("verdict").textContent = "";
    this.report(error);
  }

  showVerdict() {
    const { label, confidence, truncated } = this.answer;
    const withheld = confidence < this.threshold;
    const parts = [
      element("strong", withheld ? "Withheld" : label, withheld ? "label withheld" : "label"),
      `, ${percent(confidence)} confident`,
      withheld ? `; “${label}” would be a guess below the threshold` : "",
      truncated ? "; only the beginning was read" : "",
      ".",
    ];
    byId("verdict").replaceChildren(...parts);
  }

  showProbabilities() {
    const { labels } = this.model;
    const rows = labels.map((label, place) => {
      const share = this.answer.probabilities[place];
      const colour = labels.length === 2 ? ["down", "up"][place] : "";
      const row = element("div", "", "probability");
      const bar = element("span", "", "bar");
      const fill = element("span", "", `fill ${colour}`);
      fill.style.width = `${share * 100}%`;
      bar.append(fill);
      row.append(element("span", label), bar, element("span", percent(share), "number"));
      return row;
    });
    byId("probabilities").replaceChildren(...rows);
  }

  showWords(text) {
    const { words } = this.answer;
    const [down, up] = this.ends();
    const legend = byId("legend");
    const list = byId("strongest");
    if (!words) {
      legend.textContent = "This model does not tell what its words contribute.";
      byId("words").replaceChildren(text);
      list.replaceChildren();
      return;
    }
    legend.replaceChildren(
      legendEntry(up, "up", "solid line"),
      legendEntry(down, "down", "wavy line"),
    );
    const strongest = Math.max(...words.map((word) => Math.abs(word.pull)), 1e-9);
    const parts = [];
    let last = 0;
    for (const word of words) {
      parts.push(replaceMarkup(text.slice(last, word.start), "\n"));
      last = word.end;
      const level = LEVELS.filter((bound) => Math.abs(word.pull) / strongest >= bound).length;
      const end = word.pull > 0 ? up : down;
      const shown = element("span", word.text, `word ${word.pull > 0 ? "up" : "down"} level-${level}`);
      shown.title = `${word.text}: ${Math.abs(word.pull).toFixed(2)} ${end}`;
      shown.dataset.pull = word.pull;
      if (level > 1) shown.append(element("span", ` (${end})`, "hidden"));
      parts.push(shown);
    }
    parts.push(replaceMarkup(text.slice(last), "\n"));
    byId("words").replaceChildren(...parts);
    list.replaceChildren(
      ...words
        .toSorted((one, other) => Math.abs(other.pull) - Math.abs(one.pull))
        .slice(0, STRONGEST)
        .map((word) => {
          const item = element("li", "");
          const end = word.pull > 0 ? "up" : "down";
          item.append(
            element("span", word.text, `word ${end} level-3`),
            ` ${Math.abs(word.pull).toFixed(2)} ${word.pull > 0 ? up : down}`,
          );
          return item;
        }),
    );
  }

  /** Name what a pull below 0 speaks for, and one above. */
  ends() {
    const { labels } = this.model;
    if (labels.length === 2) return labels.map((label) => `towards ${label}`);
    return [`against ${this.answer.label}`, `for ${this.answer.label}`];
  }
}

function legendEntry(name, end, line) {
  const entry = element("span");
  entry.append(element("span", name, `word ${end} level-3`), ` ${line}`);
  return entry;
}
