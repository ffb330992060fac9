// @ts-check
"use strict";

// Elements of a page. All text comes in as text: there is no way here to make an element of markup.

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string | null)[]} children a null is left out
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Makes a button.
 * @param {string} name what it is called
 * @param {() => void} action
 * @returns {HTMLButtonElement}
 */
function makeButton(name, action) {
  const button = make("button", { type: "button" }, name);
  button.addEventListener("click", action);
  return button;
}

/**
 * Makes a fold whose content is built when it is first opened.
 * @param {(Node | string)[]} summary
 * @param {() => Node[]} build
 * @param {boolean} [open] whether it is open from the start
 * @returns {HTMLDetailsElement}
 */
function makeFold(summary, build, open = false) {
  const fold = make("details", {}, make("summary", {}, ...summary));
  const fill = () => {
    if (fold.open && fold.childElementCount === 1) fold.append(...build());
  };
  fold.addEventListener("toggle", fill);
  fold.open = open;
  fill();
  return fold;
}

/**
 * Makes a horizontal bar from one share of the width to another, both from 0 to 1.
 * @param {number} from
 * @param {number} to
 * @returns {SVGElement}
 */
function makeBar(from, to) {
  /** @type {(tag: string, attributes: Record<string, string>) => SVGElement} */
  const shape = (tag, attributes) => {
    const element = /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const frame = { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" };
  const bar = shape("svg", frame);
  const width = Math.max(0.5, 100 * (to - from));
  bar.append(
    shape("rect", { class: "track", width: "100", height: "10" }),
    shape("rect", { class: "fill", x: (100 * from).toFixed(2), width: width.toFixed(2), height: "10" }),
  );
  return bar;
}

/**
 * Returns the element of an id, which is there.
 * @param {string} id
 * @returns {HTMLElement}
 */
function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element;
}

/**
 * Returns "1 vote", "2 votes".
 * @param {number} count
 * @param {string} noun
 * @param {string} [plural]
 * @returns {string}
 */
function counted(count, noun, plural = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
}

/**
 * Returns a name of a state as words: `empty_patch` is "empty patch".
 * @param {string} state
 * @returns {string}
 */
function words(state) {
  return state.replaceAll("_", " ");
}
