// How many texts have which confidence, as an inline drawing.

const BINS = 10;
const [WIDTH, HEIGHT, MARGIN] = [400, 150, 22];
const SVG = "http://www.w3.org/2000/svg";

/** Draw confidences from `from` to 1; what lies below the threshold is drawn hollow. */
export function drawHistogram(confidences, { from, threshold }) {
  const counts = Array(BINS).fill(0);
  const withheld = Array(BINS).fill(0);
  for (const confidence of confidences) {
    const bin = Math.floor(((confidence - from) / (1 - from)) * BINS);
    const place = Math.min(Math.max(bin, 0), BINS - 1);
    counts[place] += 1;
    withheld[place] += confidence < threshold ? 1 : 0;
  }
  const most = Math.max(...counts, 1);
  const drawing = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "histogram" });
  const edge = (bin) => `${Math.round((from + ((1 - from) * bin) / BINS) * 100)} %`;
  const told = counts.map((count, bin) => `${edge(bin)} to ${edge(bin + 1)}: ${count}`).join("; ");
  drawing.setAttribute("aria-label", `Texts by confidence. ${told}.`);
  const step = WIDTH / BINS;
  const room = HEIGHT - 2 * MARGIN;
  const base = HEIGHT - MARGIN;
  counts.forEach((count, bin) => {
    const full = (count / most) * room;
    const hollow = (withheld[bin] / most) * room;
    const bar = { x: bin * step + 2, width: step - 4 };
    const group = make("g", {});
    const title = make("title", {});
    title.textContent = `${edge(bin)} to ${edge(bin + 1)}: ${count}, ${withheld[bin]} withheld`;
    group.append(
      title,
      make("rect", { ...bar, y: base - full, height: full - hollow, class: "given" }),
      make("rect", { ...bar, y: base - hollow, height: hollow, class: "hollow" }),
      label(bin * step + step / 2, base - full - 5, count ? String(count) : "", "middle"),
    );
    drawing.append(group);
  });
  drawing.append(
    make("line", { x1: 0, x2: WIDTH, y1: base, y2: base, class: "axis" }),
    label(2, HEIGHT - 6, edge(0), "start"),
    label(WIDTH / 2, HEIGHT - 6, edge(BINS / 2), "middle"),
    label(WIDTH - 2, HEIGHT - 6, edge(BINS), "end"),
  );
  return drawing;
}

function label(x, y, text, anchor) {
  const made = make("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

function make(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
