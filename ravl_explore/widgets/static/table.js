// A table of clusters, best first: one row is selected at a time.
import { h } from "./shared/dom.js";
import { hearThoughLate } from "./shared/late.js";
import { pickableRows } from "./shared/rows.js";
import { cellText, rowsInSight } from "./table/cells.js";

function heading(column) {
  const cell = h("th", { scope: "col", title: column.help || "" }, column.title);
  if (column.format !== "text") cell.className = "number";
  return cell;
}

function fill(line, row, columns) {
  line.className = row.kept ? (row.doubtful ? "kept doubtful" : "kept") : "pruned";
  for (const column of columns) {
    const cell = line.insertCell();
    cell.setAttribute("role", "gridcell");
    cell.textContent = cellText(row[column.key], column.format);
    if (column.format !== "text") cell.className = "number";
    if (row.help?.[column.key]) cell.title = row.help[column.key];
    if (column.key === "cluster" && row.color) {
      const dot = h("span", { class: `dot ${row.symbol || "circle"}` });
      dot.style.background = row.color;
      cell.prepend(dot);
    }
  }
}

function render({ model, el }) {
  const note = h("p", { class: "ravl-table-note" });
  const table = h("table", { role: "grid", "aria-label": "Clusters, best first" });
  const root = h("div", { class: "ravl-table" }, note, table);
  const more = h("p", { class: "ravl-table-more" });
  el.append(root, more);
  const rows = pickableRows({ model, table, frame: root });

  function draw() {
    const columns = model.get("columns");
    note.textContent = model.get("note");
    note.hidden = !model.get("note");
    table.replaceChildren();
    rows.clear();
    table
      .createTHead()
      .insertRow()
      .append(...columns.map(heading));
    const body = table.createTBody();
    for (const row of model.get("rows")) {
      const line = body.insertRow();
      fill(line, row, columns);
      rows.add(line, row.cluster);
    }
    rows.mark(false);
    tellMore();
  }

  // Which rows are in sight, where not all of them are.
  function tellMore() {
    const lines = rows.lines();
    const [top, bottom] = [root.scrollTop + (table.tHead?.offsetHeight ?? 0), root.scrollTop + root.clientHeight];
    const seen = rowsInSight(lines, top, bottom);
    more.hidden = root.clientHeight === 0 || root.scrollHeight <= root.clientHeight + 1 || !seen;
    more.textContent = more.hidden
      ? ""
      : `Rows ${seen[0] + 1} to ${seen[1] + 1} of ${lines.length}, scroll for the others`;
  }

  const resized = new ResizeObserver(tellMore);
  resized.observe(root);
  root.addEventListener("scroll", tellMore, { passive: true });
  model.on("change:rows change:columns change:note", draw);
  draw();
  return () => {
    resized.disconnect();
    rows.stop();
    model.off("change:rows change:columns change:note", draw);
  };
}

export default { initialize: hearThoughLate, render };
