// A page whose kernel is gone looks as it did before, and answers to nothing. JupyterLab tells widgets of a restart that
// was asked for, by a class (see frozen.css); of a kernel that died it tells only those who watch the kernel's status.
import { hearThoughLate } from "./shared/late.js";

const GONE = ["restarting", "autorestarting", "terminating", "dead"];
const FROZEN = "This view is frozen: its kernel was restarted, or has ended. Run the cell again to go on.";

function render({ model, el }) {
  el.classList.add("ravl-frozen");
  const said = document.createElement("div");
  said.className = "ravl-frozen-text";
  said.setAttribute("role", "alert");
  el.append(said);
  const tell = () => (said.textContent = `${FROZEN} ${model.get("kept")}`.trim());
  const onStatus = (_kernel, status) => {
    if (GONE.includes(status)) el.closest(".ravl-freezes")?.classList.add("ravl-is-frozen");
  };
  const kernel = model.widget_manager?.kernel;
  tell();
  model.on("change:kept", tell);
  kernel?.statusChanged?.connect(onStatus);
  return () => {
    model.off("change:kept", tell);
    kernel?.statusChanged?.disconnect(onStatus);
  };
}

export default { initialize: hearThoughLate, render };
