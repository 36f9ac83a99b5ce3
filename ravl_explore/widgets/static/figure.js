// LiveFigure in the browser: plotly's own widget, fitted to its container, that loses nothing while it loads, and tells
// what the user does in messages of their own.
//
// Plotly's bundle of 5 MB may take so long on a busy machine that anywidget gives the widget up (shared/late.js). So this
// small module is there at once; the kernel sends the bundle beside it, once per page, and the edits that came meanwhile
// are replayed.
import { SERIALIZERS, unpacked } from "./figure/arrays.js";
import { askFor, sharedPlotly } from "./figure/bundle.js";
import { relayOf } from "./figure/edits.js";
import { watchHand } from "./figure/hand.js";
import { viewOf, watchWidth } from "./figure/view.js";
import { hearThoughLate } from "./shared/late.js";

const LOADING = "Loading the plot…";
const SLOW = "The plot waits for the kernel. If it was stopped, run this cell again.";
const SLOW_AFTER = 4000; // ms

async function started(shared, relay, send) {
  const plotly = await shared.ready;
  const figure = new plotly.FigureModel(relay.proxy, SERIALIZERS);
  figure.initialize(); // from here on without a pause: no edit is taken twice
  relay.replay();
  return { figure, viewFor: (hand) => viewOf(plotly, send, hand) };
}

async function whenReady(ready, el) {
  el.textContent = LOADING;
  const slow = setTimeout(() => {
    el.textContent = SLOW;
  }, SLOW_AFTER);
  return ready.finally(() => clearTimeout(slow));
}

export default () => {
  let relay;
  let ready;
  return {
    initialize({ model }) {
      hearThoughLate({ model });
      const send = (content, buffers) => model.send(content, undefined, buffers);
      const shared = sharedPlotly(model.get("_plotly"));
      relay = relayOf(model, send);
      model.on("msg:custom", (content, buffers) => {
        if (content.kind === "bundle") shared.give(buffers[0]);
        if (content.kind === "edit") relay.take(content.name, unpacked(content, buffers));
      });
      model.on("change:_widget_data", () => relay.forget()); // a whole state holds what came before it
      ready = started(shared, relay, send);
      return askFor(shared, model);
    },

    async render({ model, el, signal }) {
      el.classList.add("ravl-figure"); // here: anywidget's views pass over classes that come after them
      el.style.height = `${model.get("_height")}px`;
      const { figure, viewFor } = await whenReady(ready, el);
      if (signal?.aborted) return;
      el.textContent = "";
      const hand = watchHand(el);
      const View = viewFor(hand);
      const view = new View(figure, el);
      const unregister = relay.registering(hand.wait, () => view.perform_render());
      const unwatch = watchWidth(el);
      return () => {
        unwatch();
        hand.stop();
        unregister();
        view.remove();
      };
    },
  };
};
