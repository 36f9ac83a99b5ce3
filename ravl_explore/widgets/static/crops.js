// Draws the page of thumbnails that the kernel sends, and one crop opened in its whole image with its box and scores.
// The kernel owns all state; this asks for pages, and tells of clicks and keys.
import { Gallery } from "./crops/gallery.js";
import { hearThoughLate } from "./shared/late.js";

const SETTLED = 15; // ms; Python sets several traits in a row: wait for the last of them

function render({ model, el }) {
  const gallery = new Gallery(model);
  el.append(gallery.root);
  let timer = null;
  let pageStale = false;

  function follow() {
    timer = null;
    if (pageStale) gallery.followPage();
    pageStale = false;
    if (!gallery.details.waiting()) gallery.followSelection(); // else the answer settles it
  }

  function schedule() {
    timer ??= setTimeout(follow, SETTLED);
  }

  function onNewPage() {
    pageStale = true;
    schedule();
  }

  function onTurn() {
    if (!gallery.pages.waiting() && model.get("page") !== gallery.page) onNewPage(); // else the answer settles it
  }

  const listeners = {
    "msg:custom": (content, buffers) => gallery.receive(content, buffers),
    "change:_revision": onNewPage,
    "change:page": onTurn,
    "change:selected": schedule,
    "change:opened": schedule,
    "change:title": () => gallery.drawFrame(),
  };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  gallery.followPage();
  gallery.followSelection();

  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
    clearTimeout(timer);
    gallery.clear();
  };
}

export default { initialize: hearThoughLate, render };
