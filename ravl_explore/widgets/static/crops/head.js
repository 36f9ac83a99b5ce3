// The lines above the grid: the title, which crops are on show, the pages, and what went wrong.
import { h } from "../shared/dom.js";
import { placeText, sign, warnings } from "./words.js";

/** `turn` is called with -1 or 1 for the page before or after. */
export function headOf(turn) {
  const title = h("strong", { class: "rx-title" });
  const status = h("span", { class: "rx-status", role: "status", "aria-live": "polite" });
  const legend = h("span", { class: "rx-legend" }, sign("rx-cross", "✕"), "image predicted wrongly");
  const button = (name, step, text) =>
    h("button", { type: "button", "aria-label": name, click: () => turn(step) }, text);
  const previous = button("Previous page of crops", -1, "‹ Previous");
  const next = button("Next page of crops", 1, "Next ›");
  const pager = h("span", { class: "rx-pager" }, previous, next);
  const element = h("div", { class: "rx-head" }, h("div", { class: "rx-caption" }, title, status, legend), pager);
  const errors = h("div", { class: "rx-errors", role: "alert" });
  legend.hidden = true;

  function drawPager(page, nPages) {
    pager.hidden = nPages < 2;
    // aria-disabled instead of disabled: a disabled button would lose the keyboard's focus
    previous.setAttribute("aria-disabled", String(page <= 0));
    next.setAttribute("aria-disabled", String(page >= nPages - 1));
  }

  function drawTitle(text, total) {
    title.textContent = text;
    element.hidden = total === 0 && !text;
  }

  function drawPage({ items = [], start = 0, total, errors: texts }) {
    errors.replaceChildren(...warnings(texts));
    legend.hidden = !items.some((item) => item.correct === false);
    status.textContent = placeText(start, items.length, total);
  }

  function say(text) {
    status.textContent = text;
  }

  return { element, errors, drawPager, drawTitle, drawPage, say };
}
