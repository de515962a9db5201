// One text, classified as it is typed: the label, its probabilities, and every word's pull.
import { isBlank } from "./words.js";

const PAUSE_MS = 150; // a quick typist's time between two keys
const STRONGEST = 8;
const LEVELS = [0.15, 0.4, 0.75]; // of the strongest pull in the text

export class TextView {
  constructor(model, report) {
    this.model = model;
    this.report = report;
    this.threshold = 0;
    this.asked = 0;
    this.answer = null;
    this.field = document.getElementById("text");
    this.field.addEventListener("input", () => this.later());
    if (!isBlank(this.field.value)) this.later(); // the browser kept it over a reload
  }

  setThreshold(value) {
    this.threshold = value;
    if (this.answer) this.showVerdict();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.classify(), PAUSE_MS);
  }

  async classify() {
    const text = this.field.value;
    const turn = ++this.asked;
    if (isBlank(text)) {
      this.answer = null;
      document.getElementById("answer").hidden = true;
      document.getElementById("verdict").textContent = "";
      return;
    }
    try {
      const answer = await this.model.classify(text, { explain: true });
      if (turn !== this.asked) return; // the text has changed meanwhile
      this.answer = answer;
      this.report(null);
      this.showVerdict();
      this.showProbabilities();
      this.showWords(text);
      document.getElementById("answer").hidden = false;
    } catch (error) {
      this.report(error);
    }
  }

  showVerdict() {
    const { label, confidence, truncated } = this.answer;
    const withheld = confidence < this.threshold;
    const parts = [
      element("strong", withheld ? "Withheld" : label, withheld ? "label withheld" : "label"),
      ` ${(confidence * 100).toFixed(1)} % confident`,
      withheld ? `; “${label}” would be a guess below the threshold` : "",
      truncated ? "; only the beginning was read" : "",
      ".",
    ];
    document.getElementById("verdict").replaceChildren(...parts);
  }

  showProbabilities() {
    const rows = this.model.labels.map((label, place) => {
      const share = this.answer.probabilities[place];
      const row = element("div", "", "probability");
      const bar = element("span", "", "bar");
      const fill = element("span", "", "fill");
      fill.style.width = `${share * 100}%`;
      bar.append(fill);
      row.append(element("span", label), bar, element("span", `${(share * 100).toFixed(1)} %`, "number"));
      return row;
    });
    document.getElementById("probabilities").replaceChildren(...rows);
  }

  showWords(text) {
    const { words } = this.answer;
    const [down, up] = this.ends();
    const legend = document.getElementById("legend");
    const list = document.getElementById("strongest");
    if (!words) {
      legend.textContent = "This model does not tell what its words contribute.";
      document.getElementById("words").replaceChildren(text);
      list.replaceChildren();
      return;
    }
    legend.replaceChildren(
      element("span", up, "word up level-3"),
      " solid line   ",
      element("span", down, "word down level-3"),
      " wavy line",
    );
    const strongest = Math.max(...words.map((word) => Math.abs(word.pull)), 1e-9);
    const parts = [];
    let last = 0;
    for (const word of words) {
      parts.push(spoken(text.slice(last, word.start)));
      last = word.end;
      const level = LEVELS.filter((bound) => Math.abs(word.pull) / strongest >= bound).length;
      const end = word.pull > 0 ? up : down;
      const shown = element("span", word.text, `word ${word.pull > 0 ? "up" : "down"} level-${level}`);
      shown.title = `${word.text}: ${Math.abs(word.pull).toFixed(2)} ${end}`;
      shown.dataset.pull = word.pull;
      if (level > 1) shown.append(element("span", ` (${end})`, "hidden"));
      parts.push(shown);
    }
    parts.push(spoken(text.slice(last)));
    document.getElementById("words").replaceChildren(...parts);
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

/** Show markup between words as the white space that the model reads it as. */
function spoken(between) {
  return between.replace(/<br\s*\/?>/gi, "\n");
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
