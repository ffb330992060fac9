// @ts-check
"use strict";

// Diffs and scripts, line by line, with line numbers that are not copied along.

/** Classes of tokens by their numbers (diff_lines.py), which the page says. */
const TOKEN_CLASSES = (document.getElementById("instance")?.dataset.tokenClasses ?? "").split(" ");

/** @typedef {{kind: string, before: number | null, after: number | null}} Place where a line stands, and what it is */

/**
 * Returns what each line of a unified diff is, with its number before and after the change.
 * @param {string[]} texts
 * @returns {Place[]}
 */
function placesOfDiff(texts) {
  let before = 0;
  let after = 0;
  let beforeLeft = 0;
  let afterLeft = 0;
  return texts.map((text) => {
    if (beforeLeft <= 0 && afterLeft <= 0) {
      const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(text);
      if (head === null) return { kind: text.startsWith("diff ") ? "file" : "head", before: null, after: null };
      before = Number(head[1]);
      after = Number(head[3]);
      beforeLeft = Number(head[2] ?? 1);
      afterLeft = Number(head[4] ?? 1);
      return { kind: "hunk", before: null, after: null };
    }
    // "\ No newline at end of file", or a remark on lines that are left out
    if (text !== "" && !"+- ".includes(text[0])) return { kind: "head", before: null, after: null };
    const added = text.startsWith("+");
    const removed = text.startsWith("-");
    if (!added) beforeLeft -= 1;
    if (!removed) afterLeft -= 1;
    return {
      kind: added ? "added" : removed ? "removed" : "kept",
      before: added ? null : before++,
      after: removed ? null : after++,
    };
  });
}

/**
 * Shows a diff.
 * @param {number[]} numbers which of the lines, in order
 * @param {Line[]} lines
 * @param {string} name what it is, for screen readers
 * @returns {HTMLElement}
 */
function showDiff(numbers, lines, name) {
  const shown = numbers.map((number) => lines[number]);
  return showLines(shown, placesOfDiff(shown.map(([text]) => text)), name, true);
}

/**
 * Shows a script.
 * @param {number[]} numbers which of the lines, in order
 * @param {Line[]} lines
 * @param {string} name what it is, for screen readers
 * @returns {HTMLElement}
 */
function showScript(numbers, lines, name) {
  const places = numbers.map((_, index) => ({ kind: "kept", before: null, after: index + 1 }));
  return showLines(numbers.map((number) => lines[number]), places, name, false);
}

/**
 * @param {Line[]} lines
 * @param {Place[]} places
 * @param {string} name
 * @param {boolean} both whether each line has two numbers
 * @returns {HTMLElement}
 */
function showLines(lines, places, name, both) {
  const body = make("div", { class: "lines" }, ...lines.map((line, index) => showLine(line, places[index], both)));
  return make("div", { class: "diff", tabindex: "0", role: "group", "aria-label": name }, body);
}

/**
 * @param {Line} line
 * @param {Place} place
 * @param {boolean} both
 * @returns {HTMLElement}
 */
function showLine([text, spans], place, both) {
  const row = make("div", { class: `line ${place.kind}` });
  for (const number of both ? [place.before, place.after] : [place.after]) {
    row.append(make("span", { class: "no", "data-no": number === null ? "" : String(number) }));
  }
  const code = make("code");
  let start = 0;
  for (let index = 0; index + 1 < spans.length; index += 2) {
    const part = text.slice(start, start + spans[index]);
    start += spans[index];
    code.append(spans[index + 1] ? make("span", { class: `t-${TOKEN_CLASSES[spans[index + 1]]}` }, part) : part);
  }
  code.append(text.slice(start), "\n"); // the end of the line, for who copies several
  row.append(code);
  return row;
}
