// What is said of a crop or a whole image, in words, and of what went wrong.
import { h } from "../shared/dom.js";

/** One line on an item of a page, or on the opened crop. */
export function describe(item) {
  if (item.error) return `cannot be shown: ${item.error}`;
  const wrong = item.correct ? "" : " (wrong)";
  const cluster = item.cluster === null ? "no cluster" : `cluster ${item.cluster}`;
  return `label ${item.label}, predicted ${item.prediction}${wrong}${item.whole ? "" : `, ${cluster}`}`;
}

/** The name of a tile: its place in the whole list, from 0, and what is said of it. */
export function tileLabel(item, place, total) {
  return `${item.whole ? "image" : "crop"} ${place + 1} of ${total}: ${describe(item)}`;
}

/** Which crops of how many are on show. */
export function placeText(start, count, total) {
  return count ? `showing ${start + 1}–${start + count} of ${total}` : "";
}

/** What went wrong, a line each. */
export function warnings(texts = []) {
  return texts.map((text) => h("div", {}, `⚠ ${text}`));
}

/** A sign that is seen only; its meaning is said elsewhere. */
export function sign(className, text) {
  return h("span", { class: className, "aria-hidden": "true" }, text);
}
