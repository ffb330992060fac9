// @ts-check
"use strict";

// The page of a run: the table, the address, the keyboard, and which instance is open.

/** @typedef {{q: string, sort: string, open: string}} Address what the part after # says; texts may be empty */

(() => {
  const table = /** @type {HTMLTableElement} */ (byId("table"));
  const filter = /** @type {HTMLInputElement} */ (byId("filter"));
  const overview = byId("overview");
  const view = byId("instance");
  const top = document.querySelector("header.top");
  const rows = readRows(table);
  const byName = new Map(rows.map((row) => [row.id, row]));
  const heads = [...table.querySelectorAll("thead button")].map((button) => /** @type {HTMLButtonElement} */ (button));
  const columns = new Set([...heads.map((button) => button.dataset.column ?? ""), "repo", "reason", "mark"]);
  const pageTitle = document.title;
  /** The rows that the filter leaves, in the order of the table. */
  let shown = rows;
  let opened = "";
  let placeInTable = 0;

  /** @type {() => Address} */
  function readAddress() {
    const values = new URLSearchParams(location.hash.slice(1));
    return { q: values.get("q") ?? "", sort: values.get("sort") ?? "", open: values.get("open") ?? "" };
  }

  /** @type {(address: Address) => string} */
  function written(address) {
    const values = new URLSearchParams();
    for (const [name, value] of Object.entries(address)) if (value) values.set(name, value);
    return `#${values}`;
  }

  /**
   * Changes the address and shows what it says.
   * @param {Partial<Address>} changes
   * @param {"push" | "replace"} how whether the browser's Back returns to what was there before
   */
  function go(changes, how) {
    const now = readAddress();
    const address = written({ ...now, ...changes });
    const state = { within: how === "push" || history.state?.within === true };
    if (how === "push") history.pushState(state, "", address);
    else history.replaceState(state, "", address);
    show();
  }

  function show() {
    const address = readAddress();
    if (filter.value !== address.q) filter.value = address.q;
    arrange(address);
    if (address.open) openInstance(address.open);
    else closeInstance();
  }

  /** @type {(address: Address) => void} */
  function arrange({ q, sort }) {
    const wanted = readFilter(q, columns);
    const [column, direction] = columns.has(sort.split(".")[0]) ? sort.split(".") : ["instance", "asc"];
    const falling = direction === "desc";
    const ordered = inOrder(rows, column, falling);
    shown = ordered.filter((row) => matches(row, wanted));
    const left = new Set(shown);
    for (const row of rows) row.row.hidden = !left.has(row);
    table.tBodies[0].append(...ordered.map((row) => row.row));
    for (const button of heads) {
      const head = button.closest("th");
      if (button.dataset.column === column) head?.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head?.removeAttribute("aria-sort");
    }
    byId("shown").textContent = wanted.length ? `${shown.length} of ${rows.length}` : counted(rows.length, "instance");
    byId("none").hidden = shown.length > 0;
    table.hidden = shown.length === 0;
    for (const button of byId("presets").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === q.trim()));
    }
  }

  /** @type {(id: string) => void} */
  function openInstance(id) {
    if (opened === id) return;
    if (!opened) placeInTable = window.scrollY;
    opened = id;
    const row = byName.get(id);
    const title = make("h2", { id: "instance-title", tabindex: "-1" }, id);
    view.replaceChildren(make("div", { class: "head-of-instance" }, title, controls(id)));
    document.title = `${id} · ${pageTitle}`;
    overview.hidden = true;
    if (top instanceof HTMLElement) top.classList.add("small");
    view.hidden = false;
    window.scrollTo(0, 0);
    title.focus({ preventScroll: true });
    if (row) fill(title, row);
    else view.append(make("p", { class: "banner bad" }, "This run has no instance of this name."));
  }

  /** @type {(title: HTMLElement, row: Row) => Promise<void>} */
  async function fill(title, row) {
    const said = make("p", { class: "under" }, ...summary(row));
    view.append(said);
    try {
      const data = await unpack(byId(`data-${row.row.dataset.number}`).textContent ?? "");
      if (!title.isConnected) return; // another one was opened meanwhile
      title.textContent = data.id;
      if ("unreadable" in data) throw new Error(data.unreadable);
      const parts = showInstance(data);
      const heads = parts.flatMap((part) => [...part.querySelectorAll("h3")]);
      const jumps = heads.map((head) => makeButton(head.textContent ?? "", () => jumpTo(head)));
      said.after(make("nav", { class: "jumps", "aria-label": "Parts of the instance" }, ...jumps), ...parts);
    } catch (error) {
      if (!title.isConnected) return;
      const reason = error instanceof Error ? error.message : String(error);
      view.append(make("p", { class: "banner bad" }, make("strong", {}, "Cannot be shown. "), reason));
    }
  }

  /** @type {(row: Row) => (Node | string)[]} */
  function summary({ row }) {
    return [...row.cells].slice(1).flatMap((cell, index) => {
      const name = heads[index + 1].textContent ?? "";
      const value = cell.querySelector(".state")?.cloneNode(true) ?? (cell.textContent ?? "").trim();
      if (value === "") return [];
      return [make("span", { class: "pair" }, make("span", { class: "label" }, name), " ", value), " "];
    });
  }

  /** @type {(id: string) => HTMLElement} */
  function controls(id) {
    const step = (/** @type {number} */ by) => () => go({ open: neighbour(id, by) }, "replace");
    const buttons = [
      makeButton("Back to the table", back),
      makeButton("Previous", step(-1)),
      makeButton("Next", step(1)),
      makeButton("Copy link", copyAddress),
    ];
    buttons[1].disabled = neighbour(id, -1) === id;
    buttons[2].disabled = neighbour(id, 1) === id;
    return make("div", { class: "controls", role: "group", "aria-label": "Instance" }, ...buttons);
  }

  /** @type {(id: string, by: number) => string} */
  function neighbour(id, by) {
    const at = shown.findIndex((row) => row.id === id);
    return at < 0 ? (shown[0]?.id ?? id) : (shown[at + by]?.id ?? id);
  }

  function closeInstance() {
    if (!opened) return;
    const row = byName.get(opened);
    opened = "";
    document.title = pageTitle;
    view.hidden = true;
    view.replaceChildren();
    overview.hidden = false;
    if (top instanceof HTMLElement) top.classList.remove("small");
    window.scrollTo(0, placeInTable);
    if (row && !row.row.hidden) row.row.querySelector("a")?.focus({ preventScroll: placeInTable > 0 });
  }

  /** Returns to the table: to where the browser was, if it came from there. */
  function back() {
    if (history.state?.within === true) history.back();
    else go({ open: "" }, "replace");
  }

  async function copyAddress() {
    let copied = false;
    try {
      await navigator.clipboard.writeText(location.href);
      copied = true;
    } catch {
      const field = make("textarea", { "aria-hidden": "true", class: "hidden" });
      field.value = location.href;
      document.body.append(field);
      field.select();
      copied = document.execCommand("copy");
      field.remove();
    }
    byId("said").textContent = copied ? "The link is copied." : "The browser does not let the page copy.";
    byId("said").classList.remove("hidden");
    window.setTimeout(() => byId("said").classList.add("hidden"), 2500);
  }

  /** @type {(element: HTMLElement) => void} */
  function jumpTo(element) {
    element.scrollIntoView();
    element.focus({ preventScroll: true });
  }

  /** @type {(by: number) => void} */
  function moveInTable(by) {
    if (shown.length === 0) return;
    const focused = document.activeElement?.closest("tr[data-id]");
    const at = shown.findIndex((row) => row.row === focused);
    const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(Math.max(at + by, 0), shown.length - 1);
    const link = shown[next].row.querySelector("a");
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  }

  /** @type {(key: string, typing: boolean) => (() => void) | null} what a key does; null for nothing */
  function actionOf(key, typing) {
    if (opened) {
      const step = { n: 1, p: -1 }[key];
      if (key === "Escape") return back;
      return step === undefined ? null : () => go({ open: neighbour(opened, step) }, "replace");
    }
    const inTable = document.activeElement?.closest("#table") !== null;
    if (key === "ArrowDown" && (inTable || typing)) return () => moveInTable(1);
    if (key === "ArrowUp" && inTable) return () => moveInTable(-1);
    if (typing) return null;
    if (key === "/") return () => filter.focus();
    if (key === "j") return () => moveInTable(1);
    return key === "k" ? () => moveInTable(-1) : null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target === filter;
    const action = actionOf(event.key, typing);
    if (action === null) return;
    event.preventDefault();
    action();
  });

  table.tBodies[0].addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const id = /** @type {HTMLElement | null} */ (target.closest("tr[data-id]"))?.dataset.id;
    if (id === undefined || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    if (!target.closest("a") && !(getSelection()?.isCollapsed ?? true)) return; // text is being marked
    event.preventDefault();
    go({ open: id }, "push");
  });
  for (const button of heads) {
    button.addEventListener("click", () => {
      const rises = button.closest("th")?.getAttribute("aria-sort") === "ascending";
      go({ sort: `${button.dataset.column}.${rises ? "desc" : "asc"}` }, "push");
    });
  }
  for (const button of byId("presets").querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      go({ q: pressed ? "" : (button.dataset.filter ?? "") }, "push");
    });
  }
  // links to parts of the page: the address stays that of the filter and the open instance
  for (const link of document.querySelectorAll('a[href^="#"]:not([href*="="])')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = link.getAttribute("href")?.slice(1) ?? "";
      if (opened && target !== "content") go({ open: "" }, "push");
      jumpTo(byId(target));
    });
  }
  filter.addEventListener("input", () => go({ q: filter.value }, "replace"));
  byId("clear").addEventListener("click", () => {
    go({ q: "" }, "push");
    filter.focus();
  });
  window.addEventListener("popstate", show);

  // the table's head sticks below the filter, however many lines that takes
  const tools = /** @type {HTMLElement} */ (document.querySelector(".tools"));
  new ResizeObserver(() => table.style.setProperty("--tools", `${tools.offsetHeight}px`)).observe(tools);
  byId("filter-box").hidden = false;
  byId("presets").hidden = false;
  show();
})();
