// A table of runs that a click on a heading sorts; one run is picked at a time.
import { h } from "./shared/dom.js";
import { hearThoughLate } from "./shared/late.js";
import { pickableRows } from "./shared/rows.js";
import { sortAfterClick, sorted } from "./shared/sorting.js";

const MEANS = "Mean ± standard deviation over runs";

function heading(column, now, click) {
  const here = now.sort === column.key;
  const cell = h("th", { class: column.number ? "number" : null, scope: "col" });
  cell.setAttribute("aria-sort", here ? (now.descending ? "descending" : "ascending") : "none");
  const arrow = here ? (now.descending ? " ▾" : " ▴") : "";
  const button = h("button", { type: "button", title: `${column.help}. Click to sort.`, click }, column.title + arrow);
  button.dataset.key = column.key;
  cell.append(button);
  return cell;
}

function nameCell(row) {
  return h("th", { scope: "row", role: "rowheader" }, row.objective);
}

function numberCell(held) {
  const cell = h("td", { class: "number", role: "gridcell" }, held ? (held.text ?? "–") : "");
  if (held?.best) {
    cell.classList.add("best");
    cell.setAttribute("aria-label", `${held.text}, best`);
  }
  return cell;
}

function fill(line, row, columns) {
  line.setAttribute("role", "row");
  if (row.help) line.title = row.help;
  line.append(...columns.map(({ key }) => (key === "objective" ? nameCell(row) : numberCell(row.cells[key]))));
}

function render({ model, el }) {
  const table = h("table", { role: "grid", "aria-label": "Runs" });
  const frame = h("div", { class: "frame" }, table);
  const picked = h("p", { class: "picked", "aria-live": "polite" });
  const notes = h("ul", { class: "notes" });
  el.append(h("div", { class: "ravl-runs" }, frame, picked, notes));
  const lines = pickableRows({ model, table, frame, told: tellPicked });

  function tellPicked(selected) {
    const row = model.get("rows").find((run) => run.index === selected);
    picked.textContent = row ? `Picked: ${row.objective}\n${row.help}` : "";
  }

  const order = () => ({ sort: model.get("sort"), descending: model.get("descending") });

  function inOrder(rows) {
    const { sort, descending } = order();
    if (!sort) return rows;
    return sorted(rows, (row) => (sort === "objective" ? row.objective : (row.cells[sort]?.value ?? null)), descending);
  }

  function sortBy(column) {
    const { sort, descending } = sortAfterClick(order(), column);
    model.set("sort", sort);
    model.set("descending", descending);
    model.save_changes();
    draw();
    table.querySelector(`thead button[data-key="${CSS.escape(column.key)}"]`)?.focus();
  }

  function drawHead(columns) {
    const cells = columns.map((column) => heading(column, order(), () => sortBy(column)));
    table
      .createTHead()
      .insertRow()
      .append(...cells);
  }

  function drawBody(name, rows, columns, add = () => {}) {
    const body = table.createTBody();
    body.className = name;
    for (const row of rows) {
      const line = body.insertRow();
      fill(line, row, columns);
      add(line, row);
    }
    return body;
  }

  function draw() {
    const focused = table.contains(document.activeElement) ? document.activeElement.dataset.index : undefined;
    const columns = model.get("columns");
    table.replaceChildren();
    lines.clear();
    frame.hidden = !model.get("rows").length;
    drawHead(columns);
    drawBody("before", model.get("before"), columns);
    drawBody("runs", inOrder(model.get("rows")), columns, (line, row) => {
      line.dataset.index = row.index;
      lines.add(line, row.index);
    });
    if (model.get("means").length) {
      const means = drawBody("means", inOrder(model.get("means")), columns);
      const title = h("th", { colspan: columns.length, scope: "rowgroup" }, MEANS);
      means.prepend(h("tr", { class: "heading" }, title));
    }
    notes.replaceChildren(...model.get("notes").map((note) => h("li", {}, note)));
    lines.mark(false);
    if (focused) lines.focus(Number(focused));
  }

  const changed = "change:rows change:means change:before change:columns change:notes change:sort change:descending";
  model.on(changed, draw);
  draw();
  return () => {
    lines.stop();
    model.off(changed, draw);
  };
}

export default { initialize: hearThoughLate, render };
