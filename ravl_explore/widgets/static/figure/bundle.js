// Plotly's module of 5 MB, which the kernel sends once per page.

const ASK_AFTER = 500; // ms; the first figure's kernel sends the bundle unasked
const ANSWERED_WITHIN = 3000; // ms; later another figure asks, maybe of another kernel

/** The plotly of one version, the same for every figure in the page whatever its kernel. */
export function sharedPlotly(version) {
  globalThis.ravlPlotly ??= new Map();
  const all = globalThis.ravlPlotly;
  if (!all.has(version)) all.set(version, unloaded());
  return all.get(version);
}

function unloaded() {
  const shared = { given: false, asked: 0 };
  shared.ready = new Promise((resolve) => {
    shared.give = (bytes) => {
      if (shared.given) return;
      shared.given = true;
      const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
      resolve(import(url).finally(() => URL.revokeObjectURL(url)));
    };
  });
  return shared;
}

/** Ask the kernel for it as long as nobody has given it or has just asked; returns how to stop. */
export function askFor(shared, model) {
  const timer = setInterval(() => {
    if (!shared.given && Date.now() - shared.asked < ANSWERED_WITHIN) return;
    clearInterval(timer);
    if (shared.given) return;
    shared.asked = Date.now();
    model.send({ kind: "bundle" });
  }, ASK_AFTER);
  return () => clearInterval(timer);
}
