// @ts-check
"use strict";

// Small parts that the view of an instance is made of.

/**
 * Makes a part with its heading.
 * @param {string} title
 * @param {(Node | string | null)[]} children
 * @returns {HTMLElement}
 */
function part(title, ...children) {
  return make("section", { class: "part" }, make("h3", { tabindex: "-1" }, title), ...children);
}

/** @type {(text: string) => HTMLElement} */
const missing = (text) => make("p", { class: "note" }, text);

/** @type {(text: string, name: string) => HTMLElement} */
const prose = (text, name) => make("pre", { class: "prose", tabindex: "0", role: "group", "aria-label": name }, text);

/** @type {(state: string) => HTMLElement} */
const stateMark = (state) => make("span", { class: `state ${/^[a-z_]+$/.test(state) ? state : ""}` }, words(state));

/** @type {(names: string[], leftOut?: number) => HTMLElement} */
const listOf = (names, leftOut = 0) => {
  const items = names.map((name) => make("li", {}, make("code", {}, name)));
  return make("ul", { class: "names" }, ...items, leftOut ? make("li", {}, `and ${leftOut} more`) : null);
};

/**
 * Makes a list of labels with their values; empty values are left out.
 * @param {[string, Node | string | null][]} rows
 * @returns {HTMLElement}
 */
function factsOf(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== "");
  return make(
    "dl",
    { class: "facts" },
    ...shown.map(([label, value]) => make("div", { class: "fact" }, make("dt", {}, label), make("dd", {}, value))),
  );
}
