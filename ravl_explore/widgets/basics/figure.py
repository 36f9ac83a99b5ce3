"""LiveFigure: a plotly FigureWidget that any thread may redraw, and that survives reloads, resizes and theme changes.

What plotly's own widget does not do, measured on 7.1 (each point has a test):

- It keeps its synced state from the moment it was made, so a reload or a saved notebook shows old data: ``get_state``
  here answers with what is drawn now.
- It sends updates by setting a trait and clearing it at once; while another thread is inside ``set_state`` both merge
  and the update is lost. Here updates are sent as custom messages, under a lock, one message each.
- The browser answers every update with the traces' defaults, and Python then deletes "overlapping" data of its own:
  here nothing is answered.
- What the user does is a trait that is set, and ipywidgets merges what is set while the kernel is busy: of a hover and
  the selection that ends over a point, or of two legend entries, one is lost. Here each is a message of its own, told
  once and not to every trace, and hovering stays in the page.
- It keeps its bundle of 5 MB in the state of each figure; here it is sent once, and is in no state.
- In the browser it neither fits its container nor survives a slow start: see ``static/figure.js``.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go
import traitlets
from plotly.basedatatypes import BaseFigure, Undefined

from ravl_explore.widgets.basics.acts import Content
from ravl_explore.widgets.basics.figure_diff import Properties, copied, edits, flatten, nested, restyled
from ravl_explore.widgets.basics.figure_messages import CHANGES, MessageFigure
from ravl_explore.widgets.basics.gestures import PointsEvent, points_event
from ravl_explore.widgets.basics.static import script, style
from ravl_explore.widgets.basics.throttle import RATE, Throttle

QUIET = 5.0  # seconds after an edit until the whole state follows, and between two of these at least

_DRAWN = ("_widget_data", "_widget_layout")  # plotly's names for the state of what is drawn

SELECTING = ("zoom2d", "pan2d", "select2d", "lasso2d")
LOOKING = ("zoom2d", "pan2d")


class LiveFigure(MessageFigure):
    """One plotly figure, created once and redrawn in place, from any thread.

    Parameters
    ----------
    figure : go.Figure, optional
        The first content; a trace drawn later in place of another must be of its type.
    height : int
        Pixels; the width is that of the container.
    tools : sequence of str
        Plotly's names of the mouse tools in the tool bar, ``SELECTING`` or ``LOOKING``; beside them there are only
        "reset" and "save as PNG", as plotly's own "share" button would upload the figure.
    rate : float
        Redraws a second at most.

    Notes
    -----
    The first one sends plotly's bundle of 5 MB, and a page that has it not asks for it. A notebook that is saved with
    its widgets' state does not hold it, so a figure shows itself only where a kernel runs.
    """

    _esm = script("figure.js")
    _css = style("figure.css")
    _plotly = traitlets.Unicode(plotly.__version__).tag(sync=True)
    """Plotly's version, by which a page knows whether it has the bundle."""

    _height = traitlets.Int().tag(sync=True)
    """Pixels of the screen; the width is that of the container."""

    _bundle_sent = False

    def __init__(
        self,
        figure: go.Figure | None = None,
        *,
        height: int = 480,
        tools: Sequence[str] = SELECTING,
        rate: float = RATE,
    ) -> None:
        self._drawing = threading.RLock()  # so that of two threads that draw the later one is not overtaken
        self._listeners: list[Callable[[PointsEvent], None]] = []
        self._pending: tuple[go.Figure | Callable[[], go.Figure], set[str]] | None = None
        first = go.Figure(figure)
        first.update_layout(height=height)
        self._height = height
        super().__init__(first)
        buttons = [list(tools), ["resetScale2d"], ["toImage"]]
        self._config = {
            "responsive": True,
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": buttons,
            "editSelection": False,  # an outline that is dragged tells nobody: draw another
            "showTips": False,  # they would cover the buttons of the page
        }
        self._drawn, self._drawn_layout = self._flat_traces(self), flatten(self.layout.to_plotly_json())
        self._throttle = Throttle(self._draw_pending, rate)
        self._sync_soon = Throttle(self._sync, 1 / QUIET, delay=QUIET)
        self.on_msg(self._on_message)
        if not LiveFigure._bundle_sent:  # before it is asked for: a cell that computes would not answer
            LiveFigure._bundle_sent = True
            self._send_bundle()
        self._sync()

    # Drawing

    def draw(self, figure: go.Figure | Callable[[], go.Figure], reset: Sequence[str] = ()) -> None:
        """Show ``figure`` soon, from any thread; the latest wins when they come faster than ``rate``.

        Parameters
        ----------
        figure : go.Figure or callable
            The whole new content, or what makes it when its turn has come; only differences are sent.
        reset : sequence of str
            Which of the user's own changes to undo: "zoom", "legend" (hidden entries), "outline" (lasso drawn).
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
        self._sync_soon.cancel()
        self._sync()

    def hidden_traces(self) -> tuple[int, ...]:
        """Traces the user switched off in the legend."""
        with self._guard:
            return tuple(i for i, trace in enumerate(self._data) if trace.get("visible", True) == "legendonly")

    def on_points(self, callback: Callable[[PointsEvent], None]) -> None:
        """Call ``callback`` once per gesture, in order, on the thread that received it, with no lock held."""
        self._listeners.append(callback)

    def close(self) -> None:
        """Free the figure, here and in the browser."""
        if hasattr(self, "_sync_soon"):  # ipywidgets also closes what failed while it was made
            self._throttle.cancel()
            self._sync_soon.cancel()
        super().close()

    def _edited(self) -> None:
        if hasattr(self, "_sync_soon"):  # else plotly is still making the figure
            self._sync_soon()

    def _sync(self) -> None:
        with self._guard:
            if self.comm is not None:
                state = self.get_state(_DRAWN)
                self._send({"method": "update", "state": state, "buffer_paths": []})

    def _draw_pending(self) -> None:
        with self._drawing:
            with self._guard:
                pending, self._pending = self._pending, None
            if pending is None or self.comm is None:
                return
            figure, reset = pending
            made = figure() if callable(figure) else figure
            with self._guard:
                if self.comm is not None:
                    self._apply(made, reset)

    def _apply(self, figure: go.Figure, reset: set[str]) -> None:
        """Send what differs from the figure drawn last, in one message; what the user changed meanwhile stays."""
        new, layout = self._flat_traces(figure), flatten(figure.layout.to_plotly_json())
        layout["height"] = self._drawn_layout["height"]
        old = [
            trace | {"visible": self._data[i].get("visible", True)} if "legend" in reset else trace
            for i, trace in enumerate(self._drawn)
        ]
        differ = restyled([edits(one, other) for one, other in zip(old, new, strict=False)], new[: len(old)])
        slots = [i for i, each in enumerate(differ) if each]
        restyle = {
            key: [differ[i].get(key, Undefined) for i in slots]
            for key in sorted({key for each in differ for key in each})
        }
        relayout = edits(self._drawn_layout, layout)
        if "zoom" in reset:
            for axis in ("xaxis", "yaxis"):
                self._layout.setdefault(axis, {}).pop("autorange", None)
                relayout[f"{axis}.autorange"] = True
        if "outline" in reset:  # the browser never tells of its outlines; while one is there, points cannot be set
            self._layout.pop("selections", None)
            relayout["selections"] = []
        n_before, self._drawn, self._drawn_layout = len(old), new, layout
        if restyle or relayout:
            self.plotly_update(restyle_data=restyle, relayout_data=relayout, trace_indexes=slots)
        if len(new) > n_before:
            self.add_traces([nested(trace) for trace in new[n_before:]])
        elif len(new) < n_before:
            self.data = self.data[: len(new)]

    @staticmethod
    def _flat_traces(figure: BaseFigure) -> list[Properties]:
        traces: Any = figure.data  # plotly says nothing of what is in it
        flat = [flatten(trace.to_plotly_json()) for trace in traces]
        for trace in flat:
            trace.pop("uid", None)
            trace.setdefault("visible", True)
        return flat

    # State and messages from the browser

    def _content(self) -> dict[str, object]:
        return {"_widget_data": copied(self._data), "_widget_layout": copied(self._layout)}

    def get_state(self, key: str | Iterable[str] | None = None, drop_defaults: bool = False) -> dict[str, object]:
        """The state that a reloaded page or a saved notebook gets: what is drawn now, arrays as text.

        For nbclient keeps the place of every buffer that a state ever had: in a saved notebook, an earlier colour's
        would be put in place of the present one, and where the place is gone no widget appears.
        """
        with self._guard:
            wanted = self.keys if key is None else {key} if isinstance(key, str) else set(key)
            if hasattr(self, "_throttle"):  # else plotly is still making the figure
                self._trait_values.update({name: value for name, value in self._content().items() if name in wanted})
            state = super().get_state(key, drop_defaults)
            return {name: _with_text(value) if name in _DRAWN else value for name, value in state.items()}

    def _on_message(self, _: object, content: Content, buffers: Sequence[memoryview]) -> None:
        """Take what the page tells: that it lacks the bundle, that the user changed the picture, or a gesture."""
        kind, name = content.get("kind"), content.get("name")
        if kind == "bundle":
            self._send_bundle()
        elif kind == "change" and name in CHANGES:
            self._take_change(name, content["message"])
        elif kind == "points":
            event = points_event(content, np.frombuffer(buffers[0], np.int32))
            for listener in self._listeners:
                listener(event)


def _with_text(value: object) -> object:
    """The same with base64 text for the buffers of plotly's arrays."""
    if isinstance(value, dict):
        if isinstance(value.get("buffer"), memoryview):
            text = base64.b64encode(value["buffer"]).decode()
            return {"dtype": value["dtype"], "shape": value["shape"], "bdata": text}
        return {key: _with_text(each) for key, each in value.items()}
    return [_with_text(each) for each in value] if isinstance(value, list | tuple) else value
