// @ts-check
"use strict";

// A table's rows: what a filter matches, and the order of a column.

/** Columns whose values are words of a list: a filter matches their beginning, so `resolved` is not `unresolved`. */
const LISTED = new Set(["verdict", "strict", "files", "mark"]);
/** Columns that a word without a column's name is looked for in. */
const SEARCHED = ["instance", "repo", "verdict", "reason", "mark"];

/**
 * @typedef {object} Row
 * @property {HTMLTableRowElement} row
 * @property {string} id
 * @property {Map<string, string>} texts what filters look in, by column
 * @property {Map<string, string | number>} sorts what is sorted by, by column
 */
/** @typedef {{column: string, text: string}} Wanted one word of a filter; the column is empty for any */

/**
 * Returns a text in the form that filters compare.
 * @param {string} text
 * @returns {string}
 */
function plain(text) {
  return text.toLowerCase().replaceAll("_", " ").trim();
}

/**
 * Reads the rows of a table's body. Cells say their column in `data-column`, and may say a number to sort by.
 * @param {HTMLTableElement} table
 * @returns {Row[]}
 */
function readRows(table) {
  return [...table.tBodies[0].rows].map((row) => {
    /** @type {Map<string, string>} */
    const texts = new Map();
    /** @type {Map<string, string | number>} */
    const sorts = new Map();
    const id = row.dataset.id ?? "";
    for (const cell of row.cells) {
      const column = cell.dataset.column ?? "";
      const text = column === "instance" ? id : (cell.textContent ?? "");
      texts.set(column, plain(text));
      sorts.set(column, cell.dataset.sort === undefined ? plain(text) : Number(cell.dataset.sort));
    }
    texts.set("repo", plain(row.dataset.repo ?? ""));
    texts.set("reason", plain(row.querySelector(".reason")?.textContent ?? ""));
    texts.set("mark", plain([...row.querySelectorAll(".mark")].map((mark) => mark.textContent).join("\n")));
    return { row, id, texts, sorts };
  });
}

/**
 * Splits a filter into its words. Quotation marks keep blanks together.
 * @param {string} filter
 * @param {Set<string>} columns the known columns; the name of another is part of the word
 * @returns {Wanted[]}
 */
function readFilter(filter, columns) {
  return (filter.match(/\S*"[^"]*"?|\S+/g) ?? []).map((word) => {
    const [, column, text] = /^([a-z]+):(.*)$/is.exec(word) ?? [];
    const named = column !== undefined && columns.has(column.toLowerCase());
    return { column: named ? column.toLowerCase() : "", text: plain((named ? text : word).replaceAll('"', "")) };
  });
}

/**
 * Tells whether a row has all of a filter's words.
 * @param {Row} row
 * @param {Wanted[]} wanted
 * @returns {boolean}
 */
function matches(row, wanted) {
  const has = (/** @type {string} */ column, /** @type {string} */ text) => {
    const value = row.texts.get(column) ?? "";
    return LISTED.has(column) ? value.split("\n").some((part) => part.startsWith(text)) : value.includes(text);
  };
  return wanted.every(({ column, text }) => (column ? has(column, text) : SEARCHED.some((name) => has(name, text))));
}

/**
 * Returns the rows in the order of a column; rows without a value come last, and ties are in the order of the names.
 * @param {Row[]} rows
 * @param {string} column
 * @param {boolean} falling
 * @returns {Row[]}
 */
function inOrder(rows, column, falling) {
  const order = new Intl.Collator("en", { numeric: true });
  return [...rows].sort((one, other) => {
    const a = one.sorts.get(column) ?? "";
    const b = other.sorts.get(column) ?? "";
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    const compared =
      typeof a === "number" && typeof b === "number" ? a - b : order.compare(String(a), String(b));
    return (falling ? -compared : compared) || order.compare(one.id, other.id);
  });
}
