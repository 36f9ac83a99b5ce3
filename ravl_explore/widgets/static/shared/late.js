// anywidget 0.11 gives a widget nothing more to hear if its module took over 2 s to load, as on a busy machine.

/** The model of which anywidget hands out a part: an event tells it first. */
function wholeOf(model) {
  let whole = null;
  const see = (its) => {
    whole = its;
  };
  model.on("change:_awake", see);
  model.set("_awake", Date.now()); // the kernel passes over a name it does not know
  model.off("change:_awake", see);
  return whole;
}

const NOTHING = { content: { data: { method: "nothing" } } };

/** For `initialize`: a widget that was given up hears again; another is left as it is. */
export function hearThoughLate({ model }) {
  const whole = wholeOf(model);
  const anywidget = whole && Object.getPrototypeOf(whole);
  const hear = anywidget && Object.getPrototypeOf(anywidget)._handle_comm_msg;
  if (!whole?.comm?.on_msg || !hear) return;
  whole._handle_comm_msg(NOTHING).catch(() => {
    console.info("ravl: a widget started late");
    whole.comm.on_msg((message) => hear.call(whole, message));
    whole.comm.send({ method: "request_state" }, {}, {}, []); // what was lost
  });
}
