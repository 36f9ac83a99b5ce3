// The rows of a table of which one is selected at a time, by click or keyboard: the other half of RowPicker in acts.py.

/** The place that a key leads to from place `at` of `count`, or null where it leads nowhere. */
export function rowAfter(key, at, count) {
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: count - 1 }[key];
  return to >= 0 && to < count ? to : null;
}

/** How far a frame is to be scrolled so that what lies from `top` to `bottom` is in it; as far as it is, if it is. */
export function scrolledTo(top, bottom, scrollTop, height) {
  if (top < scrollTop) return top;
  return bottom > scrollTop + height ? bottom - height : scrollTop;
}

/** The selectable rows of `table`, which scrolls in `frame`; `told` hears of which number is selected now. */
export function pickableRows({ model, table, frame, told = () => {} }) {
  let lines = new Map(); // by number, in the order on screen
  let selected = model.get("selected"); // what was clicked last, until the kernel says otherwise

  function clear() {
    lines = new Map();
  }

  function add(line, number) {
    line.setAttribute("role", "row");
    line.addEventListener("click", () => select(number));
    line.addEventListener("keydown", (event) => onKey(event, number));
    lines.set(number, line);
  }

  // A message, not a value: a click on the selected row is told, too, and none is merged with the next.
  function select(number) {
    selected = number;
    mark();
    model.send({ kind: "select", row: number });
  }

  function onKey(event, number) {
    const order = [...lines.keys()];
    const to = rowAfter(event.key, order.indexOf(number), order.length);
    if (event.key === "Enter" || event.key === " ") {
      select(number);
    } else if (to !== null) {
      select(order[to]);
      lines.get(order[to]).focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function mark(scroll = true) {
    const reached = lines.has(selected) ? selected : lines.keys().next().value; // by Tab: the first, if none is selected
    for (const [number, line] of lines) {
      line.setAttribute("aria-selected", String(number === selected));
      line.tabIndex = number === reached ? 0 : -1;
    }
    if (scroll && lines.has(selected)) keepVisible(lines.get(selected));
    told(selected);
  }

  // Scrolls the table alone, never the notebook.
  function keepVisible(line) {
    const top = line.offsetTop - table.tHead.offsetHeight;
    const bottom = line.offsetTop + line.offsetHeight;
    const to = scrolledTo(top, bottom, frame.scrollTop, frame.clientHeight);
    if (to !== frame.scrollTop) frame.scrollTop = to;
  }

  function follow() {
    selected = model.get("selected");
    mark();
  }

  model.on("change:selected", follow);
  return {
    clear,
    add,
    mark,
    focus: (number) => lines.get(number)?.focus(),
    lines: () => [...lines.values()],
    stop: () => model.off("change:selected", follow),
  };
}
