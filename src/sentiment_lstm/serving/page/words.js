// Which characters of a text each word piece stands for, which the tokenizer here does not tell.
//
// The text goes the tokenizer's way once more, a character at a time and with its place kept:
// markup to white space, accents off, lower case, and a word cut at white space and punctuation.
// A special token that is typed stays whole.

const MARKUP = /<br\s*\/?>/gi;
const PUNCTUATION = /^[!-/:-@[-`{-~\p{P}]$/u;
const SPECIAL = /(\[(?:CLS|SEP|PAD|UNK|MASK)\])/; // found in a text as they stand, in capitals
// Without the three that BERT's tokenizer drops, joining what stands on either side.
const SPACE = /^[^\S\v\f\uFEFF]$/u;
const MARKS = /\p{Mn}*/uy; // accents and vowel signs that hang on the letter before them
const DROPPED = /^[\p{Cc}\p{Cf}\p{Co}\p{Cn}\uFFFD\p{Mn}]$/u;
const CHINESE =
  /^[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]$/u;

/** Put something in the place of line-break marks, which the model reads as white space. */
export function replaceMarkup(text, by) {
  return text.replace(MARKUP, by);
}

/** Tell whether nothing is left of a text without its white space and line-break marks. */
export function isBlank(text) {
  return replaceMarkup(text, " ").trim() === "";
}

/**
 * Merge word pieces into words.
 *
 * @param text that was tokenized.
 * @param tokens in reading order, without the ones that begin and end a text: {piece, unknown, pull}.
 * @returns words in reading order: {start, end, text, pull}.
 */
export function wordsOf(text, tokens) {
  const words = [];
  let next = 0;
  for (const { start, end, length } of stretches(text)) {
    if (next >= tokens.length) break; // the text was cut
    let pull = 0;
    let covered = 0;
    do {
      const token = tokens[next++];
      pull += token.pull;
      covered += token.unknown ? length : [...token.piece.replace(/^##/, "")].length;
    } while (covered < length && next < tokens.length && tokens[next].piece.startsWith("##"));
    MARKS.lastIndex = end;
    const whole = end + MARKS.exec(text)[0].length;
    words.push({ start, end: whole, text: text.slice(start, whole), pull });
  }
  return words;
}

/** Give the stretches that are tokenized apart, with the length of what is left of each. */
export function stretches(text) {
  const found = [];
  let open = null;
  const close = () => {
    if (open) found.push(open);
    open = null;
  };
  // Of the same length as the text, so that every place stays what it is.
  const plain = text.replace(MARKUP, (mark) => " ".repeat(mark.length));
  let place = 0;
  for (const section of plain.split(SPECIAL)) {
    if (SPECIAL.test(section)) {
      found.push({ start: place, end: place + section.length, length: section.length });
      place += section.length;
      continue;
    }
    for (const character of section) {
      const start = place;
      place += character.length;
      if (SPACE.test(character)) {
        close();
        continue;
      }
      for (const part of character.normalize("NFD")) {
        if (DROPPED.test(part)) continue;
        const alone = PUNCTUATION.test(part) || CHINESE.test(part);
        if (alone) close();
        open ??= { start, end: place, length: 0 };
        open.end = place;
        open.length += [...part.toLowerCase()].length;
        if (alone) close();
      }
    }
    close();
  }
  return found;
}
