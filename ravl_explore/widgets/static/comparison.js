// Before and after as tables whose last column draws both values on one scale. Text is only ever set as text.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 220, HEIGHT = 18, PAD = 8;

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function isBetter(row) {
  return row.higher_is_better ? row.after >= row.before : Math.abs(row.after) <= Math.abs(row.before);
}

function change(row) {
  if (row.before === null || row.after === null) return "–";
  const difference = row.after - row.before;
  const shown = (difference > 0 ? "+" : "") + number(difference, row.digits);
  return Number(shown) === 0 ? shown : `${shown} ${isBetter(row) ? "better" : "worse"}`;
}

function dumbbell(row) {
  const [low, high] = row.range;
  const x = (value) => PAD + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (WIDTH - 2 * PAD);
  const picture = svg("svg", { width: WIDTH, height: HEIGHT, role: "img" });
  picture.setAttribute("aria-label", `${row.name}: before ${number(row.before, row.digits)}, after ${number(row.after, row.digits)}`);
  const y = HEIGHT / 2;
  picture.append(svg("line", { x1: PAD, x2: WIDTH - PAD, y1: y, y2: y, class: "axis" }));
  if (low < 0) picture.append(svg("line", { x1: x(0), x2: x(0), y1: 3, y2: HEIGHT - 3, class: "axis" }));
  if (row.before !== null && row.after !== null) {
    const better = isBetter(row);
    picture.append(svg("line", { x1: x(row.before), x2: x(row.after), y1: y, y2: y, class: better ? "better" : "worse" }));
  }
  if (row.before !== null) picture.append(svg("circle", { cx: x(row.before), cy: y, r: 4.5, class: "before" }));
  if (row.after !== null) picture.append(svg("circle", { cx: x(row.after), cy: y, r: 4.5, class: "after" }));
  return picture;
}

function section(block) {
  const box = document.createElement("section");
  const title = document.createElement("h4");
  title.textContent = block.title;
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const [name, kind] of [[block.heading, ""], ["n", "number"], ["Before", "number"], ["After", "number"], ["Change", "number"], [block.scale, "plot"]]) {
    if (name === "n" && !block.has_n) continue;
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    cell.className = kind;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of block.rows) {
    const line = body.insertRow();
    if (row.worst) line.className = "worst";
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = row.name;
    line.append(name);
    const values = [number(row.before, row.digits), number(row.after, row.digits), change(row)];
    if (block.has_n) values.unshift(row.n === null ? "–" : row.n.toLocaleString("en"));
    for (const value of values) {
      const cell = line.insertCell();
      cell.className = "number";
      cell.textContent = value;
    }
    const plot = line.insertCell();
    plot.className = "plot";
    plot.append(dumbbell(row));
  }
  box.append(title, table);
  return box;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "ravl-comparison";
  el.append(root);
  function draw() {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = model.get("note");
    const legend = document.createElement("p");
    legend.className = "legend";
    for (const [kind, label] of [["before", "before"], ["after", "after"]]) {
      const mark = svg("svg", { width: 14, height: 12 });
      mark.append(svg("circle", { cx: 6, cy: 6, r: 4.5, class: kind }));
      legend.append(mark, document.createTextNode(label + "  "));
    }
    const sections = document.createElement("div");
    sections.className = "sections";
    sections.append(...model.get("blocks").map(section));
    root.replaceChildren(note, legend, sections);
    legend.hidden = !model.get("blocks").length;
  }
  model.on("change:blocks change:note", draw);
  draw();
  return () => model.off("change:blocks change:note", draw);
}

export default { render };
