// Edits come as custom messages; plotly's widget gets each as the change of a trait, which is what it listens for. What
// came before plotly did is kept, and replayed.

/** The model as plotly is to see it, and how edits reach what it registered there. */
export function relayOf(model, send) {
  let missed = []; // edits that came before plotly did
  let given = null; // the one that plotly is being given now
  let handlers = []; // what plotly registered on the model and still wants: the event, the handler, and when it may run
  let when = atOnce;

  function atOnce(work) {
    work();
  }

  function give(name, message) {
    for (const [event, handler, wait] of [...handlers]) {
      if (event !== `change:${name}`) continue;
      wait(() => {
        given = [name, message];
        handler();
        given = null;
      });
    }
  }

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

  return {
    proxy,
    take(name, message) {
      if (missed) missed.push([name, message]);
      else give(name, message);
    },
    forget() {
      missed?.splice(0);
    },
    replay() {
      const edits = missed;
      missed = null;
      for (const [name, message] of edits) give(name, message);
    },
    /** Do something in which plotly registers handlers, which are to run when `wait` says; returns how to undo that. */
    registering(wait, work) {
      const before = new Set(handlers);
      when = wait;
      work();
      when = atOnce;
      const own = handlers.filter((entry) => !before.has(entry));
      return () => {
        for (const [name, handler] of own) proxy.off(name, handler);
      };
    },
  };
}
