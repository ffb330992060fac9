// @ts-check
"use strict";

// The list of runs: the order of its rows, and which runs are chosen. The address keeps the order.

(() => {
  const table = document.getElementById("table");
  if (!(table instanceof HTMLTableElement)) return;
  const body = table.tBodies[0];
  const rows = readRows(table);
  const heads = [...table.querySelectorAll("button")];
  const boxes = [...table.querySelectorAll("input")];
  const compare = /** @type {HTMLButtonElement} */ (byId("compare"));

  function arrange() {
    const sort = new URLSearchParams(location.hash.slice(1)).get("sort") ?? "";
    const known = heads.some((button) => button.dataset.column === sort.split(".")[0]);
    const [column, direction] = (known ? sort : "when.desc").split(".");
    const falling = direction === "desc";
    body.append(...inOrder(rows, column, falling).map((row) => row.row));
    for (const button of heads) {
      const head = button.closest("th");
      if (button.dataset.column === column) head?.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head?.removeAttribute("aria-sort");
    }
  }

  function count() {
    const chosen = boxes.filter((box) => box.checked).length;
    compare.disabled = chosen < 2;
    byId("chosen").textContent = chosen < 2 ? "Choose two or more." : `${chosen} chosen`;
  }

  for (const button of heads) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const falling = button.closest("th")?.getAttribute("aria-sort") === "ascending";
      history.replaceState(null, "", `#sort=${button.dataset.column}.${falling ? "desc" : "asc"}`);
      arrange();
    });
  }
  for (const box of boxes) box.addEventListener("change", count);
  addEventListener("hashchange", arrange);
  addEventListener("pageshow", count); // after Back the browser has restored the boxes
  arrange();
})();
