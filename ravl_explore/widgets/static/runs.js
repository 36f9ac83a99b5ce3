// A table of runs that a click on a heading sorts; one run is picked by click or keyboard. Text is only set as text.
const MEANS = "Mean ± standard deviation over runs";

function h(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function render({ model, el }) {
  const root = h("div", "ravl-runs");
  const frame = h("div", "frame");
  const table = h("table");
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", "Runs");
  const picked = h("p", "picked"), notes = h("ul", "notes");
  picked.setAttribute("aria-live", "polite");
  frame.append(table);
  root.append(frame, picked, notes);
  el.append(root);
  let lines = new Map(); // of the runs, by number, in the order on screen
  let selected = model.get("selected"); // what was clicked last, until the kernel says otherwise

  // What is missing comes last whichever way the rest goes; equal ones keep their order.
  function sorted(rows) {
    const key = model.get("sort"), sign = model.get("descending") ? -1 : 1;
    if (!key) return rows;
    const of = (row) => (key === "objective" ? row.objective : row.cells[key]?.value ?? null);
    return [...rows].sort((one, other) => {
      const [a, b] = [of(one), of(other)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
  }

  function headings() {
    const head = table.createTHead().insertRow();
    for (const column of model.get("columns")) {
      const cell = h("th", column.number ? "number" : "");
      cell.scope = "col";
      const here = model.get("sort") === column.key;
      cell.setAttribute("aria-sort", here ? (model.get("descending") ? "descending" : "ascending") : "none");
      const arrow = here ? (model.get("descending") ? " ▾" : " ▴") : "";
      const button = h("button", "", column.title + arrow);
      button.type = "button";
      button.title = `${column.help}. Click to sort.`;
      button.dataset.key = column.key;
      button.addEventListener("click", () => sortBy(column, here));
      cell.append(button);
      head.append(cell);
    }
  }

  // Numbers first from the highest, names from A; the second click turns it round, the third restores the order.
  function sortBy(column, here) {
    const first = column.number, now = model.get("descending");
    const restore = here && now !== first;
    model.set("sort", restore ? "" : column.key);
    model.set("descending", restore ? false : here ? !now : first);
    model.save_changes();
    draw();
    table.querySelector(`thead button[data-key="${CSS.escape(column.key)}"]`)?.focus();
  }

  function fill(line, row) {
    const columns = model.get("columns");
    line.setAttribute("role", "row");
    if (row.help) line.title = row.help;
    for (const column of columns) {
      const found = row.cells[column.key];
      const cell = column.key === "objective" ? h("th", "", row.objective) : h("td", "number", found ? found.text ?? "–" : "");
      if (column.key === "objective") cell.scope = "row";
      else if (found?.best) {
        cell.classList.add("best");
        cell.setAttribute("aria-label", `${found.text}, best`);
      }
      cell.setAttribute("role", column.key === "objective" ? "rowheader" : "gridcell");
      line.append(cell);
    }
  }

  function draw() {
    const focused = document.activeElement && table.contains(document.activeElement) && document.activeElement.dataset.index;
    table.replaceChildren();
    lines = new Map();
    frame.hidden = !model.get("rows").length;
    headings();
    const before = table.createTBody();
    before.className = "before";
    for (const row of model.get("before")) fill(before.insertRow(), row);
    const body = table.createTBody();
    body.className = "runs";
    for (const row of sorted(model.get("rows"))) {
      const line = body.insertRow();
      line.dataset.index = row.index;
      fill(line, row);
      line.addEventListener("click", () => select(row.index));
      line.addEventListener("keydown", (event) => onKey(event, row.index));
      lines.set(row.index, line);
    }
    if (model.get("means").length) {
      const means = table.createTBody();
      means.className = "means";
      const heading = means.insertRow();
      heading.className = "heading";
      const title = h("th", "", MEANS);
      title.colSpan = model.get("columns").length;
      title.scope = "rowgroup";
      heading.append(title);
      for (const row of sorted(model.get("means"))) fill(means.insertRow(), row);
    }
    notes.replaceChildren(...model.get("notes").map((note) => h("li", "", note)));
    mark(false);
    if (focused) lines.get(Number(focused))?.focus();
  }

  // A message, not a value: a click on the picked run is told, too, and none is merged with the next.
  function select(index) {
    selected = index;
    mark();
    model.send({ kind: "select", row: index });
  }

  function onKey(event, index) {
    const order = [...lines.keys()], at = order.indexOf(index);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      select(index);
    } else if (to !== undefined && order[to] !== undefined) {
      select(order[to]);
      lines.get(order[to]).focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function mark(scroll = true) {
    const row = model.get("rows").find((each) => each.index === selected);
    picked.textContent = row ? `Picked: ${row.objective}\n${row.help}` : "";
    let first = true;
    for (const [index, line] of lines) {
      const here = index === selected;
      line.setAttribute("aria-selected", String(here));
      line.tabIndex = here || (first && !lines.has(selected)) ? 0 : -1;
      first = false;
      if (!here || !scroll) continue;
      const top = line.offsetTop - table.tHead.offsetHeight, bottom = line.offsetTop + line.offsetHeight;
      if (top < frame.scrollTop) frame.scrollTop = top; // scrolls the table alone, never the notebook
      else if (bottom > frame.scrollTop + frame.clientHeight) frame.scrollTop = bottom - frame.clientHeight;
    }
  }

  const onSelected = () => {
    selected = model.get("selected");
    mark();
  };
  const changed = "change:rows change:means change:before change:columns change:notes change:sort change:descending";
  model.on(changed, draw);
  model.on("change:selected", onSelected);
  draw();
  return () => {
    model.off(changed, draw);
    model.off("change:selected", onSelected);
  };
}

export default { render };
