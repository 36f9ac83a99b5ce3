// Draws the page of thumbnails that the kernel sends, and one crop opened in its whole image with its box and scores.
// The kernel owns all state; this asks for pages, and tells of clicks and keys. Text from the kernel is never HTML.

const EMPTY = "Select points in the map or a row of the table to see their crops.";
const SLOW = "Waiting for the kernel. If it was stopped, run this cell again.";
const PLACEHOLDERS_AFTER = 150; // ms; a quicker answer replaces the old page without a flash
const NOTICE_AFTER = 4000; // ms
const IMAGE_HEIGHT = 300; // px at most, so that the facts under the image stay in view

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child)); // a string becomes a text node
  return node;
}

// Asks the kernel one thing at a time. What is asked meanwhile is asked once more afterwards, with the newest wish,
// so that a held arrow key never queues up work in a busy kernel.
function asker(model, view, { build, soon, late, answer }) {
  let serial = 0, open = false, again = false, timers = [];
  const settle = () => {
    timers.forEach(clearTimeout);
    open = false;
  };
  const ask = () => {
    again = open;
    if (open) return;
    open = true;
    serial += 1;
    timers = [setTimeout(soon, PLACEHOLDERS_AFTER), setTimeout(() => { open = false; late(); }, NOTICE_AFTER)];
    model.send({ ...build(), request: `${view}:${serial}` });
  };
  return {
    ask,
    waiting: () => open,
    drop: () => { settle(); again = false; serial += 1; },
    receive(content, buffers) {
      if (content.request !== `${view}:${serial}`) return;
      settle();
      if (again) ask();
      else answer(content, buffers);
    },
  };
}

function blobUrl(buffer, type, urls) {
  const url = URL.createObjectURL(new Blob([buffer], { type }));
  urls.push(url);
  return url;
}

function revoke(urls) {
  urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
}

// A few pixels drawn large stay sharp squares; anything else is smoothed.
function sharpen(image) {
  image.classList.toggle("rx-pixelated", image.naturalWidth * 1.5 < image.clientWidth * (window.devicePixelRatio || 1));
}

const clusterText = (item) => (item.cluster === null ? "no cluster" : `cluster ${item.cluster}`);
const describe = (item) => item.error
  ? `cannot be shown: ${item.error}`
  : `label ${item.label}, predicted ${item.prediction}${item.correct ? "" : " (wrong)"}${item.whole ? "" : `, ${clusterText(item)}`}`;

function scoreCell(score, level) {
  if (score === null) return h("td", {}, "–");
  const fill = h("span", { class: `rx-fill rx-${level}` });
  fill.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
  const bar = h("span", { class: "rx-bar", "aria-hidden": "true" }, fill);
  return h("td", {}, h("span", { class: "rx-score" }, bar, h("span", { class: "rx-number" }, score.toFixed(2))));
}

function scoreTable(detail) {
  const rows = detail.scores.map(({ class_name, image, region }) => h("tr", {},
    h("th", { scope: "row", title: class_name },
      class_name,
      class_name === detail.label && h("small", {}, "label"),
      class_name === detail.prediction && h("small", {}, "predicted")),
    scoreCell(image, "image"), scoreCell(region, "region")));
  const columns = ["Class", "Whole image", "This region"].map((text) => h("th", { scope: "col" }, text));
  const table = h("table", {},
    h("caption", {}, "Zero-shot scores"), h("thead", {}, h("tr", {}, ...columns)), h("tbody", {}, ...rows));
  return h("div", { class: "rx-scores" }, table);
}

function factList(detail) {
  const sign = detail.correct ? "✓ correct" : "✕ wrong";
  const facts = [
    ["Label", [detail.label]],
    ["Predicted", [detail.prediction, h("span", { class: detail.correct ? "rx-right" : "rx-wrong" }, sign)]],
    ...(detail.whole ? [] : [["Cluster", [detail.cluster === null ? "none" : String(detail.cluster)]]]),
    ["Image", [detail.whole ? String(detail.image) : `${detail.image}, region ${detail.region}`]],
  ];
  return h("dl", { class: "rx-facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, ...value)]));
}

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2); // answers go to all views of a model; each takes its own
  const pageUrls = [], detailUrls = [];
  let items = [], start = 0, active = 0; // the page on show, and which of its crops Tab reaches
  let page = model.get("page"), selected = model.get("selected"), opened = model.get("opened"); // as the user wants
  let tellPage = false, tellSelection = false; // whether the kernel is still to hear of it
  let focusOn = null; // where the keyboard goes when the asked page has come: 0 its first crop, -1 its last
  let timer = null;

  const heading = h("strong", { class: "rx-title" });
  const status = h("span", { class: "rx-status", role: "status", "aria-live": "polite" });
  const legend = h("span", { class: "rx-legend" }, h("span", { class: "rx-cross", "aria-hidden": "true" }, "✕"),
    "image predicted wrongly");
  const previous = h("button", { type: "button", "aria-label": "Previous page of crops", click: () => turn(-1) }, "‹ Previous");
  const next = h("button", { type: "button", "aria-label": "Next page of crops", click: () => turn(1) }, "Next ›");
  const pager = h("span", { class: "rx-pager" }, previous, next);
  const head = h("div", { class: "rx-head" }, h("div", { class: "rx-caption" }, heading, status, legend), pager);
  const errors = h("div", { class: "rx-errors", role: "alert" });
  const empty = h("p", { class: "rx-empty" }, EMPTY);
  const grid = h("div", { class: "rx-grid", role: "listbox", tabindex: "-1", click: onClick, keydown: onKey });
  const detail = h("section", { class: "rx-detail", "aria-label": "The opened crop in its whole image" });
  const spoken = h("span", { class: "rx-spoken", role: "status", "aria-live": "polite" });
  // Without the two attributes JupyterLab takes arrow keys for the notebook, and shows its own menu on an image.
  const root = h("div",
    { class: "rx-crops", "data-lm-suppress-shortcuts": true, "data-jp-suppress-context-menu": true, keydown: onEscape },
    h("div", { class: "rx-inner" }, head, errors, empty, h("div", { class: "rx-body" }, grid, detail), spoken));
  el.append(root);

  const nPages = () => Math.max(1, Math.ceil(model.get("total") / model.get("page_size")));
  const tiles = () => [...grid.querySelectorAll("[role=option]")];
  const has = (node) => node.contains(root.getRootNode().activeElement);

  const pages = asker(model, view, {
    build() {
      const turned = tellPage ? page : null;
      tellPage = false;
      return { kind: "page", page: turned, revision: model.get("_revision"), scale: window.devicePixelRatio || 1 };
    },
    soon: drawPlaceholders,
    late: () => { status.textContent = SLOW; },
    answer(content, buffers) {
      page = model.get("page");
      if (content.page !== undefined && content.page !== page) pages.ask(); // the kernel has turned it meanwhile
      else drawPage(content, buffers);
    },
  });

  const details = asker(model, view, {
    build() {
      const kind = tellSelection ? "select" : "detail";
      tellSelection = false;
      return { kind, region: selected, opened };
    },
    soon: () => detail.setAttribute("aria-busy", "true"),
    late: () => { if (opened) drawDetail({ region: selected, errors: [SLOW] }, []); },
    answer(content, buffers) {
      if (selected !== model.get("selected") || opened !== model.get("opened")) followSelection();
      else drawDetail(content, buffers);
    },
  });

  function turn(step, focus = null) {
    if (page + step < 0 || page + step >= nPages()) return;
    page += step;
    tellPage = true;
    focusOn = focus;
    drawPager();
    pages.ask();
  }

  function select(index, open) {
    if (!items[index]) return;
    selected = items[index].region;
    opened = open;
    activate(index);
    tellSelection = true; // also of the crop that is open: the map may have marked another region since
    details.ask();
  }

  function close() {
    const index = items.findIndex((item) => item.region === selected);
    opened = false;
    tellSelection = true;
    drawDetail({ region: null }, []);
    details.ask();
    if (index >= 0) activate(index);
    (tiles()[active] ?? grid).focus();
  }

  function activate(index) {
    active = index;
    tiles().forEach((tile, position) => {
      tile.tabIndex = position === active ? 0 : -1;
      tile.setAttribute("aria-selected", String(items[position].region === selected));
    });
    const tile = tiles()[active];
    if (!tile) return; // scroll the grid only: a selection made in Python must not move the notebook
    grid.scrollTop = Math.max(Math.min(grid.scrollTop, tile.offsetTop - 6), tile.offsetTop + tile.offsetHeight + 6 - grid.clientHeight);
  }

  function onClick(event) {
    const index = tiles().indexOf(event.target.closest("[role=option]"));
    if (index < 0) return;
    select(index, true);
    tiles()[index].focus();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !items.length) return;
    const all = tiles(), last = all.length - 1;
    const columns = Math.max(1, all.filter((tile) => tile.offsetTop === all[0]?.offsetTop).length);
    const moves = {
      ArrowLeft: () => (active > 0 ? move(active - 1) : turn(-1, -1)),
      ArrowRight: () => (active < last ? move(active + 1) : turn(1, 0)),
      ArrowUp: () => move(active >= columns ? active - columns : active),
      ArrowDown: () => move(Math.min(active + columns, last)),
      Home: () => move(0),
      End: () => move(last),
      PageUp: () => turn(-1, 0),
      PageDown: () => turn(1, 0),
      Enter: () => select(active, true),
      " ": () => select(active, true),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    if (!pages.waiting() || event.key.startsWith("Page")) moves[event.key](); // a held arrow waits for the next page
  }

  function move(index) {
    if (opened) select(index, true); // an open image follows the keyboard
    else activate(index);
    tiles()[index]?.focus();
  }

  function onEscape(event) {
    if (event.key !== "Escape" || !opened) return;
    event.preventDefault();
    event.stopPropagation();
    close();
  }

  function drawPager() {
    const several = model.get("total") > model.get("page_size");
    pager.hidden = !several;
    // aria-disabled instead of disabled: a disabled button would lose the keyboard's focus
    previous.setAttribute("aria-disabled", String(page <= 0));
    next.setAttribute("aria-disabled", String(page >= nPages() - 1));
  }

  function drawFrame() {
    const total = model.get("total");
    heading.textContent = model.get("title");
    grid.setAttribute("aria-label", model.get("title") || "Crops");
    root.style.setProperty("--rx-size", `${model.get("thumbnail")}px`);
    root.classList.toggle("rx-none", total === 0 && !opened);
    head.hidden = total === 0 && !model.get("title");
    empty.hidden = total > 0;
    grid.hidden = total === 0;
    drawPager();
  }

  function drawPlaceholders() {
    const n = Math.min(model.get("page_size"), model.get("total") - page * model.get("page_size"));
    const hadFocus = has(grid);
    items = [];
    revoke(pageUrls);
    grid.setAttribute("aria-busy", "true");
    grid.replaceChildren(...Array.from({ length: Math.max(0, n) }, () => h("div", { class: "rx-crop rx-blank", "aria-hidden": "true" })));
    if (hadFocus) grid.focus();
  }

  function drawTile(item, index, buffers) {
    const label = `${item.whole ? "image" : "crop"} ${start + index + 1} of ${model.get("total")}: ${describe(item)}`;
    const tile = h("div", { class: "rx-crop", role: "option", tabindex: "-1", "aria-label": label, title: label });
    if (item.error) {
      tile.classList.add("rx-broken");
      tile.append(h("span", { "aria-hidden": "true" }, "⚠"), "cannot be shown");
      return tile;
    }
    const image = h("img", { alt: "", draggable: "false", load: () => sharpen(image) });
    image.src = blobUrl(buffers[item.buffer], item.type, pageUrls);
    tile.append(image);
    if (!item.correct) tile.append(h("span", { class: "rx-cross", "aria-hidden": "true" }, "✕"));
    if (item.caption) tile.append(h("span", { class: "rx-tile-caption", "aria-hidden": "true" }, item.caption));
    return tile;
  }

  function drawPage(content, buffers) {
    const hadFocus = has(grid), region = items[active]?.region;
    revoke(pageUrls);
    items = content.items ?? [];
    start = content.start ?? 0;
    drawFrame();
    grid.removeAttribute("aria-busy");
    grid.replaceChildren(...items.map((item, index) => drawTile(item, index, buffers)));
    errors.replaceChildren(...(content.errors ?? []).map((text) => h("div", {}, `⚠ ${text}`)));
    legend.hidden = !items.some((item) => item.correct === false);
    status.textContent = items.length ? `showing ${start + 1}–${start + items.length} of ${content.total}` : "";
    const find = (id) => items.findIndex((item) => item.region === id);
    grid.scrollTop = 0;
    activate(focusOn === null ? Math.max(0, hadFocus ? find(region) : -1, find(selected)) : focusOn === 0 ? 0 : items.length - 1);
    if (hadFocus || focusOn !== null) (tiles()[active] ?? grid).focus();
    if (focusOn !== null && opened) select(active, true);
    focusOn = null;
  }

  function drawDetail(content, buffers) {
    const hadFocus = has(detail);
    revoke(detailUrls);
    detail.removeAttribute("aria-busy");
    detail.replaceChildren();
    root.classList.toggle("rx-open", opened);
    drawFrame();
    if (!opened) {
      spoken.textContent = "";
      return;
    }
    const closer = h("button", { type: "button", click: close, title: "Escape" }, "Close");
    const name = content.name ?? `region ${content.region ?? selected}`;
    detail.append(h("div", { class: "rx-detail-head" }, h("strong", { title: name }, name), closer));
    if (buffers.length) {
      const [x1, y1, x2, y2] = content.box.map((fraction) => 100 * fraction);
      const box = h("div", { class: "rx-box" });
      Object.assign(box.style, { left: `${x1}%`, top: `${y1}%`, width: `${x2 - x1}%`, height: `${y2 - y1}%` });
      const frame = h("div", { class: "rx-frame" });
      const image = h("img", { alt: content.whole ? name : `The whole image ${name}; the box marks the crop`, load: fit, error: fail });
      function fit() {
        const ratio = image.naturalWidth / image.naturalHeight;
        frame.style.width = `min(100%, ${IMAGE_HEIGHT * ratio}px)`;
        frame.style.aspectRatio = ratio;
        sharpen(image);
      }
      function fail() {
        frame.replaceChildren(h("div", { class: "rx-errors" }, "⚠ The browser cannot read this image."));
      }
      image.src = blobUrl(buffers[0], content.type, detailUrls);
      frame.append(image, content.whole ? "" : box);
      detail.append(h("div", { class: "rx-stage" }, frame));
    }
    if (content.errors?.length) {
      detail.append(h("div", { class: "rx-errors", role: "alert" }, ...content.errors.map((text) => h("div", {}, `⚠ ${text}`))));
    }
    if (content.scores) {
      detail.append(h("div", { class: "rx-about" }, factList(content), content.scores.length ? scoreTable(content) : null));
      spoken.textContent = `Opened ${name}: ${describe(content)}`;
    }
    if (hadFocus) closer.focus();
    activate(active); // the grid has become narrower
  }

  function followSelection() {
    selected = model.get("selected");
    opened = model.get("opened") && selected !== null;
    const index = items.findIndex((item) => item.region === selected);
    activate(index >= 0 ? index : active);
    if (opened) details.ask();
    else if (root.classList.contains("rx-open")) drawDetail({ region: null }, []);
  }

  function followPage() {
    tellPage = false;
    page = model.get("page");
    drawFrame();
    if (model.get("total")) {
      pages.ask();
      return;
    }
    pages.drop();
    drawPage({}, []);
  }

  // Python sets several traits in a row: wait for the last of them.
  let pageStale = false;
  function follow() {
    timer = null;
    if (pageStale) followPage();
    pageStale = false;
    if (!details.waiting()) followSelection(); // else the answer settles it
  }
  const schedule = () => { timer ??= setTimeout(follow, 15); };
  const onNewPage = () => { pageStale = true; schedule(); };
  const onTurn = () => { if (!pages.waiting() && model.get("page") !== page) onNewPage(); }; // else the answer settles it
  const onMessage = (content, buffers) => {
    if (content.kind === "page") pages.receive(content, buffers);
    if (content.kind === "detail") details.receive(content, buffers);
  };
  const listeners = {
    "msg:custom": onMessage, "change:_revision": onNewPage, "change:page": onTurn,
    "change:selected": schedule, "change:opened": schedule, "change:title": drawFrame,
  };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  legend.hidden = true;
  followPage();
  followSelection();

  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
    clearTimeout(timer);
    pages.drop();
    details.drop();
    revoke(pageUrls);
    revoke(detailUrls);
    root.remove();
  };
}

export default { render };
