"""LiveFigure: a plotly FigureWidget that any thread may redraw, and that survives reloads, resizes and theme changes.

What plotly's own widget does not do, measured on 7.1 (each point has a test):

- It keeps its synced state from the moment it was made, so a reload or a saved notebook shows old data: ``get_state``
  here answers with what is drawn now.
- It sends updates by setting a trait and clearing it at once; while another thread is inside ``set_state`` both merge
  and the update is lost. Here updates are sent as plain messages, under a lock, one message each.
- The browser answers every update with the traces' defaults, and Python then deletes "overlapping" data of its own:
  here those answers are ignored.
- A gesture is told to every trace; here it is told once.
- It does not resize with its container: a probe of a few lines beside it tells plotly when to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import plotly.graph_objects as go
import traitlets
from ipywidgets.widgets.widget import _remove_buffers
from plotly.basedatatypes import Undefined
from plotly.serializers import custom_serializers

RATE = 5.0  # redraws a second; more makes the browser the bottleneck on a machine without a GPU
FULL_EVERY = 2.0  # seconds; how long a second view of the same figure may lack streamed data

CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtonsToRemove": ["zoomIn2d", "zoomOut2d", "autoScale2d", "hoverClosestCartesian", "toggleSpikelines"],
}

THEME_CSS = """
.ravl-figure { width: 100%; height: 100%; overflow: hidden; }
.ravl-figure .xtick text, .ravl-figure .ytick text, .ravl-figure .cbaxis text, .ravl-figure .cbtitle text,
.ravl-figure .g-xtitle text, .ravl-figure .g-ytitle text, .ravl-figure .g-gtitle text,
.ravl-figure .legend text, .ravl-figure .annotation-text {
  fill: var(--jp-ui-font-color1, var(--vscode-editor-foreground, currentColor)) !important;
}
.ravl-figure .gridlayer path, .ravl-figure .layer-above path.crisp {
  stroke: var(--jp-border-color2, rgba(128, 128, 128, 0.3)) !important;
}
.ravl-figure .modebar-btn path { fill: var(--jp-ui-font-color2, #8a8a8a) !important; }
.ravl-figure .modebar-btn.active path { fill: var(--jp-brand-color1, #1f77d0) !important; }
"""

PROBE_JS = """
export default { render({ el }) {
  el.style.cssText = "width: 100%; height: 0; overflow: hidden; margin: 0";
  const frame = () => el.closest(".ravl-figure-frame");
  let width = 0, timer = 0;
  const fit = () => { clearTimeout(timer); timer = setTimeout(() => window.dispatchEvent(new Event("resize")), 40); };
  const observer = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now > 0 && now !== width) fit();
    width = now;
  });
  const drawn = (event) => { if (frame()?.contains(event.detail?.element)) fit(); };
  observer.observe(el);
  document.addEventListener("plotlywidget-after-render", drawn);
  return () => { clearTimeout(timer); observer.disconnect(); document.removeEventListener("plotlywidget-after-render", drawn); };
} };
"""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PointsEvent:
    """One gesture in the browser.

    Attributes
    ----------
    kind : "selected" (lasso, box or click), "deselected" (double click), "hover" or "unhover"
    traces, points : (n,) int64, the trace and the place in it of each point
    polygon : (m, 2) corners in data coordinates for a lasso or a box, else None
    tool : "lasso", "box" or "click"
    """

    kind: str
    traces: np.ndarray
    points: np.ndarray
    polygon: np.ndarray | None = None
    tool: str = "click"


class SizeProbe(anywidget.AnyWidget):
    """An empty line that watches its container's width, in the browser, and lets plotly fit the figure to it."""

    _esm = PROBE_JS


class Throttle:
    """Runs ``work`` on a timer thread, at most ``rate`` times a second; a request is never forgotten, several are one."""

    def __init__(self, work: Callable[[], None], rate: float = RATE) -> None:
        self._work, self._interval = work, 1 / rate
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._last = -float("inf")

    def __call__(self) -> None:
        """Ask for a run soon."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(max(0.0, self._last + self._interval - time.monotonic()), self._run)
                self._timer.daemon = True
                self._timer.start()

    def _run(self) -> None:
        with self._lock:
            self._timer, self._last = None, time.monotonic()
        try:
            self._work()
        except Exception:
            _logger.exception("A figure could not be redrawn")

    def cancel(self) -> None:
        """Forget a pending request."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._last = None, time.monotonic()


class LiveFigure(go.FigureWidget):
    """One plotly figure, created once and redrawn in place, from any thread.

    Parameters
    ----------
    figure : the first content; all traces drawn later must be of the same type
    height : pixels; the width is that of the container
    rate : redraws a second at most

    Notes
    -----
    Put :attr:`frame` into layouts, not the figure itself: the frame has the height and the resize probe. Each
    LiveFigure costs 5 MB in the browser (plotly's bundle), so make few and redraw them.
    """

    _css = THEME_CSS
    _js2py_pointsCallback = traitlets.Dict(allow_none=True).tag(sync=True, echo_update=False, **custom_serializers)
    _js2py_traceDeltas = traitlets.Dict(allow_none=True).tag(sync=True, echo_update=False, **custom_serializers)

    def __init__(self, figure: go.Figure | None = None, *, height: int = 480, rate: float = RATE) -> None:
        self._guard = threading.RLock()
        self._events: list[PointsEvent] = []
        self._listeners: list[Callable[[PointsEvent], None]] = []
        self._pending: tuple[go.Figure | Callable[[], go.Figure], set[str]] | None = None
        self._edits, self._full_sent = 0, -float("inf")
        super().__init__(figure if figure is not None else go.Figure())
        self._set_layout("height", height)
        self._config = CONFIG
        self.add_class("ravl-figure")
        self._drawn, self._drawn_layout = self._flat_traces(self), _flatten(self.layout.to_plotly_json())
        self._throttle = Throttle(self._draw_pending, rate)
        self._probe = SizeProbe()
        self.frame = ipywidgets.VBox(
            [self._probe, self], layout=ipywidgets.Layout(height=f"{height}px", width="100%", overflow="hidden")
        )
        self.frame.add_class("ravl-figure-frame")

    # Drawing

    def draw(self, figure: go.Figure | Callable[[], go.Figure], reset: Sequence[str] = ()) -> None:
        """Show ``figure`` soon, from any thread; the latest wins when they come faster than ``rate``.

        Parameters
        ----------
        figure : the whole new content, or a function that makes it when its turn has come; only differences are sent
        reset : which of the user's own changes to undo: "zoom", "legend" (hidden entries), "outline" (lasso drawn)
        """
        with self._guard:
            undo = set(reset) | (self._pending[1] if self._pending else set())
            self._pending = (figure, undo)
        self._throttle()

    def flush(self) -> None:
        """Draw now what is pending; on return it has been sent."""
        self._throttle.cancel()
        self._draw_pending()

    def resync(self) -> None:
        """Flush, then send the whole state: other views, reloads and saved notebooks show what is drawn now."""
        self.flush()
        with self._guard:
            self._full_sent = time.monotonic()
            self._post(self._content() | {"_py2js_update": None, "_py2js_addTraces": None})

    def hidden_traces(self) -> tuple[int, ...]:
        """Traces the user switched off in the legend."""
        with self._guard:
            return tuple(i for i, trace in enumerate(self._data) if trace.get("visible", True) == "legendonly")

    def on_points(self, callback: Callable[[PointsEvent], None]) -> None:
        """Call ``callback`` once per gesture, on the thread that received it, with no lock held."""
        self._listeners.append(callback)

    def close(self) -> None:
        """Free the figure, its frame and its probe, here and in the browser."""
        self._throttle.cancel()
        for each in (self._probe, self.frame):
            each.close()
        super().close()

    def _draw_pending(self) -> None:
        with self._guard:
            pending, self._pending = self._pending, None
            if pending is not None and self.comm is not None:
                made = pending[0]() if callable(pending[0]) else pending[0]
                self._apply(made, pending[1])

    def _apply(self, figure: go.Figure, reset: set[str]) -> None:
        """Send what differs from the figure drawn last, in one message; what the user changed meanwhile stays."""
        new, layout = self._flat_traces(figure), _flatten(figure.layout.to_plotly_json())
        layout["height"] = self._drawn_layout["height"]
        n_slots = len(self._drawn)
        if n_slots:
            new += [_empty_trace(self._drawn[i]) for i in range(len(new), n_slots)]
        old = [
            trace | {"visible": self._data[i].get("visible", True)} if "legend" in reset else trace
            for i, trace in enumerate(self._drawn)
        ]
        slots = [i for i in range(n_slots) if _changes(old[i], new[i])]
        keys = {key for i in slots for key in _changes(old[i], new[i])}
        restyle = {
            key: [new[i].get(key) if key in _changes(old[i], new[i]) else Undefined for i in slots] for key in sorted(keys)
        }
        relayout: dict[str, Any] = {key: layout.get(key) for key in sorted(_changes(self._drawn_layout, layout))}
        if "zoom" in reset:
            for axis in ("xaxis", "yaxis"):
                self._layout.setdefault(axis, {}).pop("autorange", None)
                relayout[f"{axis}.autorange"] = True
        if "outline" in reset and self._layout.pop("selections", None):
            relayout["selections"] = []
        self._drawn, self._drawn_layout = new, layout
        if restyle or relayout:
            self.plotly_update(restyle_data=restyle, relayout_data=relayout, trace_indexes=slots)
        if len(new) > n_slots:
            self.add_traces([_nested(trace) for trace in new[n_slots:]])

    def _set_layout(self, key: str, value: object) -> None:
        self._layout[key] = value

    @staticmethod
    def _flat_traces(figure: go.Figure) -> list[dict[str, Any]]:
        flat = [_flatten(trace.to_plotly_json()) for trace in figure.data]
        for trace in flat:
            trace.pop("uid", None)
            trace.setdefault("visible", True)
        return flat

    # Messages to the browser: plotly.py's four senders, without traits

    def _send_update_msg(
        self, restyle_data: dict, relayout_data: dict, trace_indexes: Any = None, source_view_id: str | None = None
    ) -> None:
        streamed = set(restyle_data or ()) <= {"x", "y"} and not relayout_data
        full = source_view_id is None and not (streamed and time.monotonic() - self._full_sent < FULL_EVERY)
        message = {
            "style_data": restyle_data or {},
            "layout_data": relayout_data or {},
            "style_traces": self._normalize_trace_indexes(trace_indexes),
        }
        self._post_edit("_py2js_update", message, source_view_id, full)

    def _send_restyle_msg(self, restyle_data: dict, trace_indexes: Any = None, source_view_id: str | None = None) -> None:
        message = {"restyle_data": restyle_data, "restyle_traces": self._normalize_trace_indexes(trace_indexes)}
        self._post_edit("_py2js_restyle", message, source_view_id)

    def _send_relayout_msg(self, layout_data: dict, source_view_id: str | None = None) -> None:
        self._post_edit("_py2js_relayout", {"relayout_data": layout_data}, source_view_id)

    def _send_addTraces_msg(self, new_traces_data: list) -> None:
        self._post_edit("_py2js_addTraces", {"trace_data": new_traces_data}, None)

    def _post_edit(self, name: str, message: dict, source_view_id: str | None, full: bool = False) -> None:
        with self._guard:
            self._edits += 1
            ids = {"trace_edit_id": self._edits, "layout_edit_id": self._edits, "source_view_id": source_view_id}
            state = {name: message | ids}
            if full:
                self._full_sent = time.monotonic()
                state = self._content() | state
            self._post(state)

    def _post(self, state: dict[str, Any]) -> None:
        if self.comm is None:
            return
        plain = {name: custom_serializers["to_json"](value, self) for name, value in state.items()}
        plain, paths, buffers = _remove_buffers(plain)
        self._send({"method": "update", "state": plain, "buffer_paths": paths}, buffers=buffers)

    # State and messages from the browser

    def _content(self) -> dict[str, Any]:
        return {"_widget_data": _copied(self._data), "_widget_layout": _copied(self._layout)}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The state that a reloaded page or a saved notebook gets: what is drawn now."""
        with self._guard:
            self._trait_values.update(self._content())
            return super().get_state(key, drop_defaults)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take the browser's changes, with no redraw in between; listeners are called afterwards, without the lock."""
        with self._guard:
            super().set_state(sync_data)
            events, self._events = self._events, []
        for event in events:
            for listener in self._listeners:
                listener(event)

    @traitlets.observe("_js2py_traceDeltas")
    def _handler_js2py_traceDeltas(self, change: dict) -> None:
        self._trait_values["_js2py_traceDeltas"] = None

    @traitlets.observe("_js2py_pointsCallback")
    def _handler_js2py_pointsCallback(self, change: dict) -> None:
        if change["new"]:
            event = _points_event(change["new"])
            if event is not None:
                self._events.append(event)
            if event is None or event.kind in ("hover", "unhover"):
                self._trait_values["_js2py_pointsCallback"] = None  # silently: answering every hover would double it
            else:
                self._js2py_pointsCallback = None  # so that the same gesture twice is a change twice

    def _perform_plotly_relayout(self, relayout_data: dict) -> dict:
        changes = super()._perform_plotly_relayout(relayout_data)
        for key in relayout_data:  # the browser reports a zoom's range, not that autorange ended
            axis, _, what = key.partition(".")
            if what.startswith("range"):
                self._layout.get(axis, {}).pop("autorange", None)
        return changes


_KINDS = {"plotly_selected": "selected", "plotly_deselect": "deselected", "plotly_hover": "hover", "plotly_unhover": "unhover"}


def _points_event(message: dict) -> PointsEvent | None:
    kind = _KINDS.get(message["event_type"])
    if kind is None:
        return None
    points = message.get("points") or {}
    traces = np.asarray(points.get("trace_indexes") or (), dtype=np.int64)
    inside = np.asarray(points.get("point_indexes") or (), dtype=np.int64)
    selector = message.get("selector") or {}
    state = selector.get("selector_state") or {}
    if selector.get("type") == "lasso":
        return PointsEvent(kind, traces, inside, np.column_stack([state["xs"], state["ys"]]).astype(float), "lasso")
    if selector.get("type") == "box":
        (x0, x1), (y0, y1) = state["xrange"], state["yrange"]
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)
        return PointsEvent(kind, traces, inside, corners, "box")
    return PointsEvent(kind, traces, inside)


def _flatten(properties: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts to dotted keys, as restyle and relayout take them; the template stays whole."""
    flat: dict[str, Any] = {}
    for key, value in properties.items():
        if isinstance(value, dict) and value and key not in ("template", "meta"):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return nested


def _changes(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    return {key for key in old.keys() | new.keys() if not _same(old.get(key), new.get(key))}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype):
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    return bool(a == b)


def _empty_trace(like: dict[str, Any]) -> dict[str, Any]:
    """A trace slot that shows nothing, for figures with fewer traces than an earlier one."""
    nothing = np.zeros(0, np.float32)
    return {"type": like["type"], "mode": like.get("mode"), "x": nothing, "y": nothing, "visible": False, "showlegend": False}


def _copied(value: Any) -> Any:
    """A copy of the structure; arrays are shared, as nobody writes into them."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    return value


