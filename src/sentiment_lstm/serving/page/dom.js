// What the views need of the document.

export const byId = (id) => document.getElementById(id);

/** Make an element whose text is shown as it is, whatever it looks like. */
export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Show a share as the whole page does. */
export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
