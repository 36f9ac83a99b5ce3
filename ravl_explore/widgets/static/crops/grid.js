// The page of thumbnails as a list of which one is active: Tab reaches it, and the arrow keys start from it.
import { h } from "../shared/dom.js";
import { hasFocus, pictures, sharpen } from "./pictures.js";
import { sign, tileLabel } from "./words.js";

/** `click` is called with the place on the page of the crop that was clicked, `keydown` with every key. */
export function gridOf({ click, keydown }) {
  const element = h("div", { class: "rx-grid", role: "listbox", tabindex: "-1", click: onClick, keydown });
  const shown = pictures();
  let items = [];
  let active = 0;

  const tiles = () => [...element.querySelectorAll("[role=option]")];

  function onClick(event) {
    const index = tiles().indexOf(event.target.closest("[role=option]"));
    if (index < 0) return;
    click(index);
    tiles()[index].focus();
  }

  function drawTile(item, place, total, buffers) {
    const label = tileLabel(item, place, total);
    const tile = h("div", { class: "rx-crop", role: "option", tabindex: "-1", "aria-label": label, title: label });
    if (item.error) {
      tile.classList.add("rx-broken");
      tile.append(sign(null, "⚠"), "cannot be shown");
      return tile;
    }
    const image = h("img", { alt: "", draggable: "false", load: () => sharpen(image) });
    image.src = shown.url(buffers[item.buffer], item.type);
    tile.append(image);
    if (!item.correct) tile.append(sign("rx-cross", "✕"));
    if (item.caption) tile.append(sign("rx-tile-caption", item.caption));
    return tile;
  }

  function draw(newItems, start, total, buffers) {
    shown.clear();
    items = newItems;
    element.removeAttribute("aria-busy");
    element.replaceChildren(...items.map((item, index) => drawTile(item, start + index, total, buffers)));
    element.scrollTop = 0;
  }

  // Empty frames, while the page is awaited.
  function drawBlank(count) {
    const focused = hasFocus(element);
    items = [];
    shown.clear();
    element.setAttribute("aria-busy", "true");
    const blanks = Array.from({ length: count }, () => h("div", { class: "rx-crop rx-blank", "aria-hidden": "true" }));
    element.replaceChildren(...blanks);
    if (focused) element.focus();
  }

  function activate(index, selected) {
    active = index;
    const all = tiles();
    all.forEach((tile, position) => {
      tile.tabIndex = position === active ? 0 : -1;
      tile.setAttribute("aria-selected", String(items[position].region === selected));
    });
    if (all[active]) keepVisible(all[active]);
  }

  // Scrolls the grid only: a selection made in Python must not move the notebook.
  function keepVisible(tile) {
    const top = Math.min(element.scrollTop, tile.offsetTop - 6);
    element.scrollTop = Math.max(top, tile.offsetTop + tile.offsetHeight + 6 - element.clientHeight);
  }

  return {
    element,
    draw,
    drawBlank,
    activate,
    active: () => active,
    last: () => items.length - 1,
    region: (index) => items[index]?.region,
    find: (region) => items.findIndex((item) => item.region === region),
    columns: () => Math.max(1, tiles().filter((tile, _, all) => tile.offsetTop === all[0].offsetTop).length),
    hasFocus: () => hasFocus(element),
    focus: () => (tiles()[active] ?? element).focus(),
    clear: shown.clear,
  };
}
