// Before and after as tables whose last column draws both values on one scale. Text is only ever set as text.
import { hearThoughLate } from "./shared/late.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 160;
const HEIGHT = 18;
const PAD = 8;

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// Verdicts that have a word and a line of their own.
const KINDS = { better: "better", worse: "worse", "may be chance": "chance" };

function signed(value, digits) {
  const shown = number(value, digits);
  return Number(shown) === 0 ? number(0, digits) : (value > 0 ? "+" : "−") + number(Math.abs(value), digits);
}

function change(row) {
  if (row.before === null || row.after === null) return "–";
  return signed(row.after - row.before, row.digits) + (KINDS[row.verdict] ? ` ${row.verdict}` : "");
}

function interval(row) {
  if (row.low === null || row.high === null) return "–";
  if (row.low === 0 && row.high === 0) return "no change";
  return `${signed(row.low, row.digits)} to ${signed(row.high, row.digits)}`;
}

function dumbbell(row) {
  const [low, high] = row.range;
  const x = (value) => PAD + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (WIDTH - 2 * PAD);
  const picture = svg("svg", { width: WIDTH, height: HEIGHT, role: "img" });
  picture.setAttribute(
    "aria-label",
    `${row.name}: before ${number(row.before, row.digits)}, after ${number(row.after, row.digits)}`,
  );
  const y = HEIGHT / 2;
  picture.append(svg("line", { x1: PAD, x2: WIDTH - PAD, y1: y, y2: y, class: "axis" }));
  if (low < 0) picture.append(svg("line", { x1: x(0), x2: x(0), y1: 3, y2: HEIGHT - 3, class: "axis" }));
  if (row.before !== null && row.after !== null) {
    picture.append(
      svg("line", { x1: x(row.before), x2: x(row.after), y1: y, y2: y, class: KINDS[row.verdict] ?? "same" }),
    );
  }
  if (row.before !== null) picture.append(svg("circle", { cx: x(row.before), cy: y, r: 4.5, class: "before" }));
  if (row.after !== null) picture.append(svg("circle", { cx: x(row.after), cy: y, r: 4.5, class: "after" }));
  return picture;
}

function small(text) {
  const node = document.createElement("small");
  node.textContent = text;
  return node;
}

function section(block) {
  const box = document.createElement("section");
  const title = document.createElement("h4");
  title.textContent = block.title;
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const [name, kind] of [
    [block.heading, ""],
    ["n", "number"],
    ["Before", "number"],
    ["After", "number"],
    ["Change", "number"],
    ["95 % interval", "interval"],
    [block.scale, "plot"],
  ]) {
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
    if (row.mark) line.className = "worst";
    const name = document.createElement("th");
    name.scope = "row";
    name.append(row.name, ...[row.mark, row.detail].filter(Boolean).map(small));
    line.append(name);
    const values = [number(row.before, row.digits), number(row.after, row.digits), change(row)];
    if (block.has_n) values.unshift(row.n === null ? "–" : row.n.toLocaleString("en"));
    for (const value of values) {
      const cell = line.insertCell();
      cell.className = "number";
      cell.textContent = value;
    }
    const range = line.insertCell();
    range.className = "interval";
    range.textContent = interval(row);
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
    for (const [kind, label] of [
      ["before", "before"],
      ["after", "after"],
    ]) {
      const mark = svg("svg", { width: 14, height: 12 });
      mark.append(svg("circle", { cx: 6, cy: 6, r: 4.5, class: kind }));
      legend.append(mark, document.createTextNode(label));
    }
    for (const [label, kind] of Object.entries(KINDS)) {
      const mark = svg("svg", { width: 26, height: 12 });
      mark.append(svg("line", { x1: 2, x2: 24, y1: 6, y2: 6, class: kind }));
      legend.append(mark, document.createTextNode(label));
    }
    const caution = document.createElement("p");
    caution.className = "caution";
    caution.textContent = model.get("caution");
    caution.hidden = !caution.textContent;
    const sections = document.createElement("div");
    sections.className = "sections";
    sections.append(...model.get("blocks").map(section));
    root.replaceChildren(caution, note, legend, sections);
    legend.hidden = !model.get("blocks").length;
  }
  const changed = "change:blocks change:note change:caution";
  model.on(changed, draw);
  draw();
  return () => model.off(changed, draw);
}

export default { initialize: hearThoughLate, render };
