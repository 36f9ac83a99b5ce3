// What is on show and what the user wants: of the page, the selected crop, and whether it is open. The kernel owns all
// state; here it is kept only until the kernel has heard of it.
import { h } from "../shared/dom.js";
import { asker } from "./asker.js";
import { detailOf } from "./detail.js";
import { gridOf } from "./grid.js";
import { headOf } from "./head.js";
import { keyMeaning } from "./keyboard.js";

const EMPTY = "Select points in the map or a row of the table to see their crops.";
const SLOW = "Waiting for the kernel. If it was stopped, run this cell again.";

export class Gallery {
  constructor(model) {
    this.model = model;
    this.page = model.get("page");
    this.selected = model.get("selected");
    this.opened = model.get("opened");
    this.tellPage = false; // whether the kernel is still to hear of it
    this.tellSelection = false;
    this.focusOn = null; // where the keyboard goes when the asked page has come: 0 its first crop, -1 its last
    this.head = headOf((step) => this.turn(step));
    this.grid = gridOf({ click: (index) => this.select(index, true), keydown: (event) => this.onKey(event) });
    this.detail = detailOf(() => this.close());
    this.empty = h("p", { class: "rx-empty" }, EMPTY);
    this.root = this.drawRoot();
    this.askKernel(model, Math.random().toString(36).slice(2));
  }

  drawRoot() {
    const { head, grid, detail } = this;
    const body = h("div", { class: "rx-body" }, grid.element, detail.element);
    const inner = h("div", { class: "rx-inner" }, head.element, head.errors, this.empty, body, detail.spoken);
    // Without the two attributes JupyterLab takes arrow keys for the notebook, and shows its own menu on an image.
    const own = { "data-lm-suppress-shortcuts": true, "data-jp-suppress-context-menu": true };
    const keydown = (event) => this.onEscape(event);
    return h("div", { class: "rx-crops", ...own, keydown }, inner);
  }

  askKernel(model, view) {
    this.pages = asker(model, view, {
      build: () => {
        const page = this.tellPage ? this.page : null;
        this.tellPage = false;
        return { kind: "page", page, revision: model.get("_revision"), scale: window.devicePixelRatio || 1 };
      },
      soon: () => this.drawBlank(),
      late: () => this.head.say(SLOW),
      answer: (content, buffers) => this.takePage(content, buffers),
    });
    this.details = asker(model, view, {
      build: () => {
        const kind = this.tellSelection ? "select" : "detail";
        this.tellSelection = false;
        return { kind, region: this.selected, opened: this.opened };
      },
      soon: () => this.detail.wait(),
      late: () => this.opened && this.drawDetail({ errors: [SLOW] }, []),
      answer: (content, buffers) => this.takeDetail(content, buffers),
    });
  }

  // What the kernel says

  receive(content, buffers) {
    if (content.kind === "page") this.pages.receive(content, buffers);
    if (content.kind === "detail") this.details.receive(content, buffers);
  }

  takePage(content, buffers) {
    this.page = this.model.get("page");
    const here = content.page ?? this.page; // else the kernel has turned it meanwhile
    if (here !== this.page) this.pages.ask();
    else this.drawPage(content, buffers);
  }

  takeDetail(content, buffers) {
    const { model, selected, opened } = this;
    if (selected !== model.get("selected") || opened !== model.get("opened")) this.followSelection();
    else this.drawDetail(content, buffers);
  }

  followPage() {
    const { model, pages } = this;
    this.tellPage = false;
    this.page = model.get("page");
    this.drawFrame();
    if (model.get("total")) {
      pages.ask();
    } else {
      pages.drop();
      this.drawPage({}, []);
    }
  }

  followSelection() {
    const { model, grid } = this;
    this.selected = model.get("selected");
    this.opened = model.get("opened") && this.selected !== null;
    const index = grid.find(this.selected);
    this.activate(index >= 0 ? index : grid.active());
    if (this.opened) this.details.ask();
    else if (this.root.classList.contains("rx-open")) this.drawDetail({}, []);
  }

  // What the user does

  turn(step, focus = null) {
    if (this.page + step < 0 || this.page + step >= this.nPages()) return;
    this.page += step;
    this.tellPage = true;
    this.focusOn = focus;
    this.head.drawPager(this.page, this.nPages());
    this.pages.ask();
  }

  select(index, opened) {
    const region = this.grid.region(index);
    if (region === undefined) return;
    this.selected = region;
    this.opened = opened;
    this.activate(index);
    this.tellSelection = true; // also of the crop that is open: the map may have marked another region since
    this.details.ask();
  }

  move(index) {
    const follows = this.opened; // an open image follows the keyboard
    if (follows) this.select(index, true);
    else this.activate(index);
    this.grid.focus();
  }

  close() {
    const index = this.grid.find(this.selected);
    this.opened = false;
    this.tellSelection = true;
    this.drawDetail({}, []);
    this.details.ask();
    if (index >= 0) this.activate(index);
    this.grid.focus();
  }

  onKey(event) {
    const { grid } = this;
    if (event.ctrlKey || event.metaKey || event.altKey || grid.last() < 0) return;
    const does = keyMeaning(event.key, grid.active(), grid.last(), grid.columns());
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.pages.waiting() && !event.key.startsWith("Page")) return; // a held arrow waits for the next page
    if (does.open) this.select(grid.active(), true);
    else if (does.turn) this.turn(does.turn, does.focus);
    else this.move(does.to);
  }

  onEscape(event) {
    if (event.key !== "Escape" || !this.opened) return;
    event.preventDefault();
    event.stopPropagation();
    this.close();
  }

  // Drawing

  nPages() {
    return Math.max(1, Math.ceil(this.model.get("total") / this.model.get("page_size")));
  }

  activate(index) {
    this.grid.activate(index, this.selected);
  }

  drawFrame() {
    const { model, head, grid, root } = this;
    const [total, title] = [model.get("total"), model.get("title")];
    grid.element.setAttribute("aria-label", title || "Crops");
    grid.element.hidden = total === 0;
    root.style.setProperty("--rx-size", `${model.get("thumbnail")}px`);
    root.classList.toggle("rx-none", total === 0 && !this.opened);
    this.empty.hidden = total > 0;
    head.drawTitle(title, total);
    head.drawPager(this.page, this.nPages());
  }

  drawBlank() {
    const { model, page } = this;
    const pageSize = model.get("page_size");
    this.grid.drawBlank(Math.max(0, Math.min(pageSize, model.get("total") - page * pageSize)));
  }

  drawPage(content, buffers) {
    const { grid, focusOn } = this;
    const [focused, region] = [grid.hasFocus(), grid.region(grid.active())];
    this.drawFrame();
    grid.draw(content.items ?? [], content.start ?? 0, this.model.get("total"), buffers);
    this.head.drawPage(content);
    const stays = Math.max(0, focused ? grid.find(region) : -1, grid.find(this.selected));
    const goes = focusOn === 0 ? 0 : grid.last();
    this.activate(focusOn === null ? stays : goes);
    if (focused || focusOn !== null) grid.focus();
    if (focusOn !== null && this.opened) this.select(grid.active(), true);
    this.focusOn = null;
  }

  drawDetail(content, buffers) {
    const { root, detail, opened } = this;
    root.classList.toggle("rx-open", opened);
    this.drawFrame();
    if (!opened) {
      detail.drawNothing();
      return;
    }
    detail.draw({ ...content, region: content.region ?? this.selected }, buffers);
    this.activate(this.grid.active()); // the grid has become narrower
  }

  clear() {
    this.pages.drop();
    this.details.drop();
    this.grid.clear();
    this.detail.clear();
    this.root.remove();
  }
}
