// LiveFigure in the browser: plotly's own widget, fitted to its container, that loses no message while it loads.
//
// anywidget drops every message to a widget whose module takes over 2 s to load (its "ready" promise is then rejected
// for good), and plotly's bundle of 5 MB may on a busy machine (seen with Chromium slowed 40 times, not with 8). So this
// small module is there at once; it loads the bundle, once per page, and replays the edits that came meanwhile.

// Edits come as custom messages; plotly's widget gets each as the change of a trait, which is what it listens for.
function unpacked({ message, paths }, buffers) {
  const holder = { message };
  paths.forEach((path, i) => {
    const last = path[path.length - 1];
    path.slice(0, -1).reduce((place, key) => place[key], holder)[last] = buffers[i];
  });
  return holder.message;
}

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
  let given = null; // the one that plotly is being given now
  let handlers = []; // what plotly registered on the model, and which are still wanted
  let ready;
  return {
    initialize({ model }) {
      const give = (name, message) => {
        given = [name, message];
        for (const [event, handler] of [...handlers]) if (event === `change:${name}`) handler();
        given = null;
      };
      model.on("msg:custom", (content, buffers) => {
        if (content.kind !== "edit") return;
        const message = unpacked(content, buffers);
        if (missed) missed.push([content.name, message]);
        else give(content.name, message);
      });
      model.on("change:_widget_data", () => missed?.splice(0)); // a whole state holds what came before it
      const proxy = {
        get: (name) => (given?.[0] === name ? given[1] : model.get(name)),
        set: (name, value) => model.set(name, value),
        save_changes: () => model.save_changes(),
        on(name, handler) {
          handlers.push([name, handler]);
          model.on(name, handler);
        },
        off(name, handler) {
          handlers = handlers.filter(([event, own]) => event !== name || own !== handler);
          model.off(name, handler);
        },
      };
      ready = load(model.get("_bundle")).then(async (module) => {
        const widget = await module.default();
        widget.initialize({ model: proxy }); // from here on without a pause: no edit is taken twice
        const edits = missed;
        missed = null;
        for (const [name, message] of edits) give(name, message);
        return [widget, proxy];
      });
    },

    async render({ model, el, signal }) {
      el.style.height = `${model.get("_height")}px`;
      el.textContent = "Loading the plot…";
      const [widget, proxy] = await ready;
      if (signal?.aborted) return;
      el.textContent = "";
      const before = new Set(handlers);
      const close = widget.render({ model: proxy, el });
      const own = handlers.filter((each) => !before.has(each));
      const unwatch = watchWidth(el);
      return () => {
        unwatch();
        for (const [name, handler] of own) proxy.off(name, handler);
        close?.();
      };
    },
  };
};
