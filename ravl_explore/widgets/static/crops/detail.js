// The large view: one crop in its whole image, with its box, its facts and its scores.
import { h } from "../shared/dom.js";
import { factsOf } from "./facts.js";
import { hasFocus, pictures, sharpen } from "./pictures.js";
import { describe, warnings } from "./words.js";

const IMAGE_HEIGHT = 300; // px at most, so that the facts under the image stay in view

/** Corners as fractions of the image's width and height, as the style of the box over it. */
export function boxStyle(box) {
  const [x1, y1, x2, y2] = box.map((fraction) => 100 * fraction);
  return { left: `${x1}%`, top: `${y1}%`, width: `${x2 - x1}%`, height: `${y2 - y1}%` };
}

function stage(name, content, url) {
  const frame = h("div", { class: "rx-frame" });
  const alt = content.whole ? name : `The whole image ${name}; the box marks the crop`;
  const image = h("img", { alt, load: fit, error: fail });

  function fit() {
    const ratio = image.naturalWidth / image.naturalHeight;
    frame.style.width = `min(100%, ${IMAGE_HEIGHT * ratio}px)`;
    frame.style.aspectRatio = ratio;
    sharpen(image);
  }

  function fail() {
    frame.replaceChildren(h("div", { class: "rx-errors" }, ...warnings(["The browser cannot read this image."])));
  }

  image.src = url;
  frame.append(image);
  if (!content.whole) {
    const box = h("div", { class: "rx-box" });
    Object.assign(box.style, boxStyle(content.box));
    frame.append(box);
  }
  return h("div", { class: "rx-stage" }, frame);
}

/** `close` is called by the button; what was opened is also spoken, in `spoken`. */
export function detailOf(close) {
  const element = h("section", { class: "rx-detail", "aria-label": "The opened crop in its whole image" });
  const spoken = h("span", { class: "rx-spoken", role: "status", "aria-live": "polite" });
  const shown = pictures();

  function empty() {
    shown.clear();
    element.removeAttribute("aria-busy");
    element.replaceChildren();
  }

  function drawNothing() {
    empty();
    spoken.textContent = "";
  }

  function draw(content, buffers) {
    const focused = hasFocus(element);
    empty();
    const closer = h("button", { type: "button", click: close, title: "Escape" }, "Close");
    const name = content.name ?? `region ${content.region}`;
    element.append(h("div", { class: "rx-detail-head" }, h("strong", { title: name }, name), closer));
    if (buffers.length) element.append(stage(name, content, shown.url(buffers[0], content.type)));
    if (content.errors?.length) {
      element.append(h("div", { class: "rx-errors", role: "alert" }, ...warnings(content.errors)));
    }
    if (content.scores) {
      element.append(factsOf(content));
      spoken.textContent = `Opened ${name}: ${describe(content)}`;
    }
    if (focused) closer.focus();
  }

  return {
    element,
    spoken,
    draw,
    drawNothing,
    wait: () => element.setAttribute("aria-busy", "true"),
    clear: shown.clear,
  };
}
