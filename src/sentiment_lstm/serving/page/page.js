// Puts the parts of the page together: what is entered goes to the model, its answer to the views.
import { byId, element, percent } from "./dom.js";
import { FileView } from "./file-view.js";
import { PageError, loadModel } from "./model.js";
import { TextView } from "./text-view.js";

/** Give what shows a mistake in one sentence at its place, or takes the last one there away. */
function reportAt(id) {
  return (error) => {
    byId(id).hidden = !error;
    byId(id).textContent = error ? sentence(error) : "";
    if (error && !(error instanceof PageError)) console.error(error);
  };
}

function sentence(error) {
  if (error instanceof PageError) return error.message;
  return `Something went wrong that should not have (${String(error?.message ?? error)}).`;
}

function offerThresholds(model, views) {
  const slider = byId("threshold");
  const change = (value) => {
    byId("threshold-value").textContent = percent(value, 0);
    slider.setAttribute("aria-valuetext", percent(value, 0));
    for (const button of byId("targets").children) {
      button.setAttribute("aria-pressed", String(Number(button.value) === value));
    }
    for (const view of views) view.setThreshold(value);
  };
  const offered = [["Never", 0]];
  for (const [target, value] of Object.entries(model.thresholds)) {
    if (value !== null) offered.push([`For ${percent(Number(target), 0)} accuracy`, value]);
  }
  for (const [name, value] of offered) {
    const button = element("button", name);
    button.type = "button";
    button.value = String(value);
    button.addEventListener("click", () => {
      slider.value = String(value);
      change(value); // the slider has rounded it
    });
    byId("targets").append(button);
  }
  slider.addEventListener("input", () => change(Number(slider.value)));
  slider.value = String(model.abstainBelow);
  change(model.abstainBelow);
}

const report = reportAt("error");
try {
  const model = await loadModel();
  // A file's mistake has a place of its own: the next letter that is typed would take it away.
  offerThresholds(model, [new TextView(model, report), new FileView(model, reportAt("file-error"))]);
  byId("pull-note").hidden = !model.explains;
  byId("state").textContent = `Ready. Labels: ${model.labels.join(", ")}.`;
  document.body.dataset.ready = "true";
  globalThis.sentimentModel = model; // for scripts and tests
} catch (error) {
  byId("state").textContent = "The model is not available.";
  report(error);
}
