// Plain keys typed in the explorer are for it alone: in a list of choices, "d d" would else delete the cell, and arrow
// keys would leave it. JupyterLab listens at the document, before any element; it passes over elements with this mark.
import { hearThoughLate } from "./shared/late.js";

const MARK = "data-lm-suppress-shortcuts";

function render({ el }) {
  function onKey(event) {
    const target = event.target;
    if (!(target instanceof Element) || !el.closest(".ravl-explorer")?.contains(target)) return;
    const forJupyter = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    target.toggleAttribute(MARK, !forJupyter); // Ctrl S still saves, Shift Enter still runs the cell
  }
  window.addEventListener("keydown", onKey, true);
  return () => window.removeEventListener("keydown", onKey, true);
}

export default { initialize: hearThoughLate, render };
