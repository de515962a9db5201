// Comma-separated values in and out, quoted fields with line breaks and quotes among them.

const DELIMITERS = [",", ";", "\t"];

/** Read a file's text: {delimiter, header, rows}, every row as long as the header. */
export function parseCsv(content) {
  const text = content.replace(/^\uFEFF/, "");
  const delimiter = delimiterOf(text);
  const [header = [], ...rows] = records(text, delimiter);
  const width = rows.reduce((most, row) => Math.max(most, row.length), header.length);
  const padded = (row) => [...row, ...Array(width - row.length).fill("")];
  // An empty line is a record only where a record is a single field.
  const kept = rows.filter((row) => width === 1 || row.length > 1 || row[0] !== "");
  return { delimiter, header: padded(header), rows: kept.map(padded) };
}

/** Write records as a file's text. */
export function formatCsv(table, delimiter = ",") {
  const special = new RegExp(`["\\r\\n${delimiter}]|^\\s|\\s$`);
  const field = (value) =>
    special.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  return table.map((row) => row.map(field).join(delimiter) + "\r\n").join("");
}

function records(text, delimiter) {
  const found = [];
  let row = [];
  let place = 0;
  while (place < text.length) {
    let field = "";
    if (text[place] === '"') {
      place += 1;
      for (;;) {
        const quote = text.indexOf('"', place);
        if (quote < 0) throw new SyntaxError(`a quote is opened in record ${found.length + 1} and never closed`);
        field += text.slice(place, quote);
        place = quote + 1;
        if (text[place] !== '"') break;
        field += '"';
        place += 1;
      }
    }
    const start = place;
    while (place < text.length && !"\r\n".includes(text[place]) && text[place] !== delimiter) place += 1;
    row.push(field + text.slice(start, place));
    if (place < text.length && text[place] === delimiter) {
      place += 1;
      if (place < text.length) continue;
      row.push(""); // the file ends behind a delimiter
    }
    place += text.startsWith("\r\n", place) ? 2 : 1;
    found.push(row);
    row = [];
  }
  return found;
}

/** Take what stands most often in the first record, outside quotes. */
function delimiterOf(text) {
  const counts = Object.fromEntries(DELIMITERS.map((delimiter) => [delimiter, 0]));
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    else if (!quoted && (character === "\n" || character === "\r")) break;
    else if (!quoted && character in counts) counts[character] += 1;
  }
  return DELIMITERS.reduce((best, one) => (counts[one] > counts[best] ? one : best));
}
