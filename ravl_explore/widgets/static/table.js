// A sortable table of clusters: one row is selected at a time, by click or keyboard. Text is only ever set as text.
function text(value, format) {
  if (value === null || value === undefined) return "–";
  if (format === "integer") return value.toLocaleString("en");
  if (format === "two") return value.toFixed(2);
  if (format === "three") return value.toFixed(3);
  if (format === "chance") return value < 0.001 ? "< 0.001" : value.toFixed(value < 0.1 ? 3 : 2);
  return String(value);
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "ravl-table";
  const table = document.createElement("table");
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", "Clusters, best first");
  const note = document.createElement("p");
  note.className = "ravl-table-note";
  root.append(note, table);
  const more = document.createElement("p");
  more.className = "ravl-table-more";
  el.append(root, more);
  let rowsById = new Map();
  let selected = model.get("selected"); // what was clicked last, until the kernel says otherwise

  function draw() {
    const columns = model.get("columns");
    note.textContent = model.get("note");
    note.hidden = !model.get("note");
    table.replaceChildren();
    rowsById = new Map();
    const head = table.createTHead().insertRow();
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column.title;
      cell.title = column.help || "";
      if (column.format !== "text") cell.className = "number";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of model.get("rows")) {
      const line = body.insertRow();
      line.className = row.kept ? (row.doubtful ? "kept doubtful" : "kept") : "pruned";
      line.setAttribute("role", "row");
      for (const column of columns) {
        const cell = line.insertCell();
        cell.setAttribute("role", "gridcell");
        cell.textContent = text(row[column.key], column.format);
        if (column.format !== "text") cell.className = "number";
        if (row.help?.[column.key]) cell.title = row.help[column.key];
        if (column.key === "cluster" && row.color) {
          const dot = document.createElement("span");
          dot.className = `dot ${row.symbol || "circle"}`;
          dot.style.background = row.color;
          cell.prepend(dot);
        }
      }
      line.addEventListener("click", () => select(row.cluster));
      line.addEventListener("keydown", (event) => onKey(event, row.cluster));
      rowsById.set(row.cluster, line);
    }
    mark(false);
    tellMore();
  }

  function tellMore() {
    // which rows are in sight, where not all of them are
    const lines = [...rowsById.values()];
    const [top, bottom] = [root.scrollTop + (table.tHead?.offsetHeight ?? 0), root.scrollTop + root.clientHeight];
    const first = lines.findIndex((line) => line.offsetTop + 0.2 * line.offsetHeight >= top);
    const last = lines.findLastIndex((line) => line.offsetTop + 0.8 * line.offsetHeight <= bottom);
    more.hidden = root.clientHeight === 0 || root.scrollHeight <= root.clientHeight + 1 || first < 0 || last < first;
    more.textContent = more.hidden ? "" : `Rows ${first + 1} to ${last + 1} of ${lines.length}, scroll for the others`;
  }

  // A message, not a value: a click on the selected row is told, too, and none is merged with the next.
  function select(cluster) {
    selected = cluster;
    mark();
    model.send({ kind: "select", row: cluster });
  }

  function onKey(event, cluster) {
    const order = [...rowsById.keys()];
    const at = order.indexOf(cluster);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      select(cluster);
    } else if (to !== undefined && order[to] !== undefined) {
      select(order[to]);
      rowsById.get(order[to]).focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function mark(scroll = true) {
    let first = true;
    for (const [cluster, line] of rowsById) {
      const here = cluster === selected;
      line.setAttribute("aria-selected", String(here));
      line.tabIndex = here || (first && !rowsById.has(selected)) ? 0 : -1;
      first = false;
      if (here && scroll) keepVisible(line);
    }
  }

  function keepVisible(line) {
    // scrolls the table alone, never the notebook
    const top = line.offsetTop - table.tHead.offsetHeight;
    const bottom = line.offsetTop + line.offsetHeight;
    if (top < root.scrollTop) root.scrollTop = top;
    else if (bottom > root.scrollTop + root.clientHeight) root.scrollTop = bottom - root.clientHeight;
  }

  const onSelected = () => {
    selected = model.get("selected");
    mark();
  };
  const resized = new ResizeObserver(tellMore);
  resized.observe(root);
  root.addEventListener("scroll", tellMore, { passive: true });
  model.on("change:rows change:columns change:note", draw);
  model.on("change:selected", onSelected);
  draw();
  return () => {
    resized.disconnect();
    model.off("change:rows change:columns change:note", draw);
    model.off("change:selected", onSelected);
  };
}

export default { render };
