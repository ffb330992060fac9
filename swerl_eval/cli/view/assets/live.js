// @ts-check
"use strict";

// A run as it goes on: asks for its state each second, and puts what has changed into the page.

/**
 * @typedef {object} State the server's answer; all texts are for people
 * @property {string} state
 * @property {string} explanation
 * @property {[string, string][]} figures label, value
 * @property {[string, number, number][]} stages name, done, total
 * @property {string[]} waits
 * @property {string[]} notices
 * @property {string} verdicts
 * @property {[string, string, string][]} instances id, verdict, strict verdict
 */

(() => {
  const EVERY = 1000;
  const run = location.pathname.replace(/\/live$/, "");
  /** The children of each list by what they show, so that one that shows the same stays, with its focus. @type {Map<string, Map<string, Element>>} */
  const shown = new Map();

  /**
   * Makes an element's children show these items.
   * @template Item
   * @param {string} id
   * @param {Item[]} items
   * @param {(item: Item) => Element} build
   */
  function fill(id, items, build) {
    const list = byId(id);
    const before = shown.get(id);
    /** @type {Map<string, Element>} */
    const now = new Map();
    items.forEach((item, place) => {
      let key = JSON.stringify(item);
      while (now.has(key)) key += " again";
      const child = before?.get(key) ?? build(item);
      now.set(key, child);
      if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
    });
    while (list.children.length > items.length) list.lastElementChild?.remove();
    shown.set(id, now);
  }

  /** @type {(name: string) => Element | string} */
  function verdict(name) {
    return name ? make("span", { class: `state ${name}` }, words(name)) : "";
  }

  /** @type {(stage: [string, number, number]) => Element} */
  function stage([name, done, total]) {
    const bar = make("progress", { value: String(done), max: String(total), "aria-label": name });
    const count = make("span", { class: "count" }, `${done} of ${total}`);
    return make("li", {}, make("span", { class: "step" }, name), " ", bar, " ", count);
  }

  /** @type {(row: [string, string, string]) => Element} */
  function instance([id, official, strict]) {
    const link = make("a", { href: `${run}/report#open=${encodeURIComponent(id)}` }, id);
    const cells = [official, strict].map((each) => make("td", {}, verdict(each)));
    return make("tr", {}, make("th", { scope: "row" }, link), ...cells);
  }

  /** @type {(text: string) => Element} */
  function line(text) {
    return make("li", {}, text);
  }

  /** @type {(state: State) => void} */
  function show(state) {
    fill("state", [[state.state || "unreadable", state.explanation]], ([name, text]) =>
      make("span", {}, verdict(name), " ", text),
    );
    fill("stages", state.stages, stage);
    fill("figures", state.figures, ([label, value]) =>
      make("div", { class: "fact" }, make("dt", {}, label), make("dd", {}, value)),
    );
    fill("waits", state.waits, line);
    fill("notices", state.notices, line);
    fill("instances", state.instances, instance);
    byId("verdicts").textContent = state.verdicts;
    byId("progress").hidden = state.stages.length === 0;
    byId("waits-part").hidden = state.waits.length === 0;
    byId("notices-part").hidden = state.notices.length === 0;
    byId("table").hidden = state.instances.length === 0;
  }

  async function ask() {
    if (!document.hidden) {
      try {
        const answer = await fetch(`${run}/live.json`);
        if (!answer.ok) throw new Error(answer.statusText);
        show(/** @type {State} */ (await answer.json()));
        byId("away").hidden = true;
      } catch {
        byId("away").hidden = false;
      }
    }
    setTimeout(ask, EVERY);
  }

  ask();
})();
