// LiveFigure in the browser: plotly's own widget, fitted to its container, that loses nothing while it loads, and tells
// what the user does in messages of their own.
//
// anywidget drops every message to a widget whose module takes over 2 s to load (its "ready" promise is then rejected
// for good), and plotly's bundle of 5 MB may on a busy machine (seen with Chromium slowed 40 times, not with 8). So this
// small module is there at once; the kernel sends the bundle beside it, once per page, and the edits that came meanwhile
// are replayed.

const LOADING = "Loading the plot…";
const SLOW = "The plot waits for the kernel. If it was stopped, run this cell again.";
const SLOW_AFTER = 4000; // ms
const ASK_AFTER = 500; // ms; the first figure's kernel sends the bundle unasked
const GESTURE_WITHIN = 400; // ms from the release until plotly has told of it: it waits for its last hit test, 100 ms
const OUTLINE_WITHIN = 50; // ms; then plotly stores the outline
const ANSWERED_WITHIN = 3000; // ms; later another figure asks, maybe of another kernel

// Edits come as custom messages; plotly's widget gets each as the change of a trait, which is what it listens for.
function unpacked({ message, paths }, buffers) {
  const holder = { message };
  paths.forEach((path, i) => {
    const last = path[path.length - 1];
    path.slice(0, -1).reduce((place, key) => place[key], holder)[last] = buffers[i];
  });
  return holder.message;
}

// The plotly of one version, the same for every figure in the page whatever its kernel.
function sharedPlotly(version) {
  const all = (globalThis.ravlPlotly ??= new Map());
  if (!all.has(version)) {
    const shared = { given: false, asked: 0 };
    shared.ready = new Promise((resolve) => {
      shared.give = (bytes) => {
        if (shared.given) return;
        shared.given = true;
        const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
        resolve(import(url).finally(() => URL.revokeObjectURL(url)));
      };
    });
    all.set(version, shared);
  }
  return all.get(version);
}

function askFor(shared, model) {
  const timer = setInterval(() => {
    if (!shared.given && Date.now() - shared.asked < ANSWERED_WITHIN) return;
    clearInterval(timer);
    if (shared.given) return;
    shared.asked = Date.now();
    model.send({ kind: "bundle" });
  }, ASK_AFTER);
  return () => clearInterval(timer);
}

// Plotly's arrays travel as {dtype, shape, buffer}, in a state as {dtype, shape, bdata} with base64 text.
const ARRAYS = {
  int8: Int8Array, int16: Int16Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  float32: Float32Array, float64: Float64Array,
};
function withArrays(value) {
  if (value === "_undefined_") return undefined;
  if (Array.isArray(value)) return value.map(withArrays);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.bdata === "string" && value.dtype in ARRAYS) {
    return new ARRAYS[value.dtype](Uint8Array.from(atob(value.bdata), (letter) => letter.charCodeAt(0)).buffer);
  }
  const held = value.buffer ?? value.value;
  if (held && value.dtype in ARRAYS && value.shape) {
    const whole = held.byteLength === held.buffer.byteLength;
    return new ARRAYS[value.dtype](whole ? held.buffer : held.buffer.slice(held.byteOffset, held.byteOffset + held.byteLength));
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withArrays(each)]));
}
const NAMES = [
  "_widget_data", "_widget_layout", ...["addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update",
    "animate", "removeLayoutProps", "removeTraceProps"].map((name) => `_py2js_${name}`),
];
const SERIALIZERS = Object.fromEntries(NAMES.map((name) => [name, { deserialize: withArrays }]));

// The hand on one plot. While it draws, what the kernel draws waits: a redraw in between breaks plotly's lasso, which
// ends as nothing or as another outline. And only what a hand did is a gesture: plotly says "selected" and "deselected"
// as well when outlines or points are set from the kernel.
function watchHand(el) {
  let waiting = [];
  let untold = 0; // presses that may still turn out to be a gesture
  let down = false;
  let timer = 0;
  const settle = () => {
    timer = 0;
    untold = 0;
    for (const work of waiting.splice(0)) work();
  };
  const settleAfter = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(settle, ms);
  };
  const press = (event) => {
    if (!event.target.closest?.(".draglayer")) return;
    down = true;
    untold += 1;
    clearTimeout(timer);
  };
  const release = () => {
    if (!down) return;
    down = false;
    settleAfter(GESTURE_WITHIN);
  };
  const move = (event) => event.buttons === 0 && release(); // let go outside the window
  const stop = new AbortController();
  const options = { capture: true, passive: true, signal: stop.signal };
  for (const name of ["mousedown", "touchstart"]) el.addEventListener(name, press, options);
  for (const name of ["mouseup", "touchend", "touchcancel"]) window.addEventListener(name, release, options);
  window.addEventListener("mousemove", move, options);
  return {
    wait(work) {
      if (down || timer) waiting.push(work);
      else work();
    },
    hasDone() {
      if (!untold) return false;
      untold -= 1;
      if (!down) settleAfter(OUTLINE_WITHIN);
      return true;
    },
    stop() {
      stop.abort();
      clearTimeout(timer);
      waiting = [];
    },
  };
}

// Plotly's view without what it sends about every hover and every redraw; a gesture is one message, with the points'
// own ids, as the kernel may have drawn something else by the time it hears of it.
function viewOf(plotly, send, hand) {
  return class extends plotly.FigureView {
    handle_plotly_hover() {}
    handle_plotly_unhover() {}
    handle_plotly_click() {}
    _sendTraceDeltas() {}
    _sendLayoutDelta() {}

    handle_plotly_selected(event) {
      const { range, lassoPoints, points = [] } = event ?? {};
      if (!range && !lassoPoints && !points.length) return; // an outline was taken away
      if (lassoPoints) this.tell("selected", "lasso", { xs: lassoPoints.x, ys: lassoPoints.y }, points);
      else if (range) this.tell("selected", "box", { xs: range.x, ys: range.y }, points);
      else this.tell("selected", "click", null, points);
    }

    handle_plotly_deselect() {
      this.tell("deselected", "click", null, []);
    }

    tell(event, tool, outline, points) {
      if (!hand.hasDone()) return;
      const { data, layout } = this.el;
      const shown = points.filter(({ curveNumber }) => data[curveNumber].hoverinfo !== "skip");
      const ids = Int32Array.from(shown, ({ curveNumber, pointNumber }) => data[curveNumber].customdata[pointNumber]);
      send({ kind: "points", event, tool, outline, picture: layout.meta ?? null }, [ids.buffer]);
    }
  };
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
  let handlers = []; // what plotly registered on the model and still wants: the event, the handler, and when it may run
  let when = (work) => work();
  let ready;
  return {
    initialize({ model }) {
      const send = (content, buffers) => model.send(content, undefined, buffers);
      const give = (name, message) => {
        for (const [event, handler, wait] of [...handlers]) {
          if (event !== `change:${name}`) continue;
          wait(() => {
            given = [name, message];
            handler();
            given = null;
          });
        }
      };
      const shared = sharedPlotly(model.get("_plotly"));
      model.on("msg:custom", (content, buffers) => {
        if (content.kind === "bundle") shared.give(buffers[0]);
        if (content.kind !== "edit") return;
        const message = unpacked(content, buffers);
        if (missed) missed.push([content.name, message]);
        else give(content.name, message);
      });
      model.on("change:_widget_data", () => missed?.splice(0)); // a whole state holds what came before it
      const proxy = {
        get: (name) => (given?.[0] === name ? given[1] : model.get(name)),
        set: (name, message) => send({ kind: "change", name, message }), // what the user changed in the picture
        save_changes() {},
        on(name, handler) {
          handlers.push([name, handler, when]);
          model.on(name, handler);
        },
        off(name, handler) {
          handlers = handlers.filter(([event, own]) => event !== name || own !== handler);
          model.off(name, handler);
        },
      };
      ready = shared.ready.then((plotly) => {
        const figure = new plotly.FigureModel(proxy, SERIALIZERS);
        figure.initialize(); // from here on without a pause: no edit is taken twice
        const edits = missed;
        missed = null;
        for (const [name, message] of edits) give(name, message);
        return { figure, proxy, viewFor: (hand) => viewOf(plotly, send, hand) };
      });
      return askFor(shared, model);
    },

    async render({ model, el, signal }) {
      el.style.height = `${model.get("_height")}px`;
      el.textContent = LOADING;
      const slow = setTimeout(() => { el.textContent = SLOW; }, SLOW_AFTER);
      const { figure, proxy, viewFor } = await ready.finally(() => clearTimeout(slow));
      if (signal?.aborted) return;
      el.textContent = "";
      const before = new Set(handlers);
      const hand = watchHand(el);
      const view = new (viewFor(hand))(figure, el);
      when = hand.wait;
      view.perform_render();
      when = (work) => work();
      const own = handlers.filter((each) => !before.has(each));
      const unwatch = watchWidth(el);
      return () => {
        unwatch();
        hand.stop();
        for (const [name, handler] of own) proxy.off(name, handler);
        view.remove();
      };
    },
  };
};
