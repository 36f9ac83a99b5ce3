// LiveFigure in the browser: plotly's own widget, fitted to its container, that loses no message while it loads.
//
// anywidget drops every message to a widget whose module takes over 2 s to load (its "ready" promise is then rejected
// for good), and plotly's bundle of 5 MB may on a busy machine (seen with Chromium slowed 40 times, not with 8). So this
// small module is there at once; it loads the bundle, once per page, and replays the edits that came meanwhile.

const EDITS = ["addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update", "animate"];
const NAMES = [...EDITS, "removeLayoutProps", "removeTraceProps"].map((name) => `_py2js_${name}`);

function load(source) {
  const bundles = (globalThis.ravlPlotlyBundles ??= new Map());
  if (!bundles.has(source)) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    bundles.set(source, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return bundles.get(source);
}

function watchWidth(el) {
  let width = 0;
  let timer = 0;
  const fit = () => {
    clearTimeout(timer);
    timer = setTimeout(() => window.dispatchEvent(new Event("resize")), 40); // plotly is told to be "responsive"
  };
  const drawn = (event) => event.detail?.element === el && fit();
  const observer = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now > 0 && now !== width) fit();
    width = now;
  });
  observer.observe(el);
  document.addEventListener("plotlywidget-after-render", drawn);
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    document.removeEventListener("plotlywidget-after-render", drawn);
  };
}

export default () => {
  let missed = []; // edits that came before plotly did
  let replayed = null; // the one that plotly is being given now
  let handlers = []; // what plotly registered on the model
  let owner; // plotly registers the views' handlers on the model of initialize(), so they are taken off there
  let ready;
  return {
    initialize({ model }) {
      owner = model;
      for (const name of NAMES) {
        model.on(`change:${name}`, () => model.get(name) && missed?.push([name, model.get(name)]));
      }
      model.on("change:_widget_data", () => missed?.splice(0)); // a whole state holds what came before it
      const proxy = {
        get: (name) => (replayed?.[0] === name ? replayed[1] : model.get(name)),
        set: (name, value) => model.set(name, value),
        save_changes: () => model.save_changes(),
        on(name, handler) {
          handlers.push([name, handler]);
          model.on(name, handler);
        },
      };
      ready = load(model.get("_bundle")).then(async (module) => {
        const widget = await module.default();
        widget.initialize({ model: proxy }); // from here on without a pause: no edit is taken twice
        const edits = missed;
        missed = null;
        for (replayed of edits) {
          for (const [name, handler] of handlers) if (name === `change:${replayed[0]}`) handler();
        }
        replayed = null;
        return widget;
      });
    },

    async render({ model, el, signal }) {
      el.style.height = `${model.get("_height")}px`;
      el.textContent = "Loading the plot…";
      const widget = await ready;
      if (signal?.aborted) return;
      el.textContent = "";
      handlers = [];
      const close = widget.render({ model, el });
      const own = handlers;
      const unwatch = watchWidth(el);
      return () => {
        unwatch();
        for (const [name, handler] of own) owner.off(name, handler);
        close?.();
      };
    },
  };
};
