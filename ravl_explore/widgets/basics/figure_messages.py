"""MessageFigure: plotly's FigureWidget that tells the browser of edits, and hears of the user's, in messages.

All that is overridden or called of plotly's private side is listed here; a test says whether it is still as it was.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import plotly.graph_objects as go
from ipywidgets.widgets.widget import _remove_buffers
from plotly.serializers import custom_serializers

from ravl_explore.widgets.basics.acts import Content

PLOTLY_METHODS = {
    "_send_update_msg": "(self, restyle_data, relayout_data, trace_indexes=None, source_view_id=None)",
    "_send_restyle_msg": "(self, restyle_data, trace_indexes=None, source_view_id=None)",
    "_send_relayout_msg": "(self, layout_data, source_view_id=None)",
    "_send_addTraces_msg": "(self, new_traces_data)",
    "_send_deleteTraces_msg": "(self, delete_inds)",
    "_perform_plotly_relayout": "(self, relayout_data)",
    "_normalize_trace_indexes": "(self, trace_indexes)",
}
"""What is relied on of plotly's private methods, with the signature."""

PLOTLY_VALUES = ("_data", "_layout", "_config")
"""The same of what a figure holds: traces and layout as plain dicts, and plotly.js's options."""

PLOTLY_SCRIPT = (
    *("FigureModel", "FigureView", "perform_render", "_sendTraceDeltas", "_sendLayoutDelta"),
    *("handle_plotly_hover", "handle_plotly_unhover", "handle_plotly_click"),
    *("handle_plotly_selected", "handle_plotly_deselect", "plotlywidget-after-render"),
)
"""The same of plotly's script in the browser; see ``static/figure``."""

CHANGES = ("_js2py_restyle", "_js2py_relayout", "_js2py_update")  # plotly's names for what the user changed


class MessageFigure(go.FigureWidget):
    """A figure whose edits and changes are custom messages, one each, instead of traits that are set and cleared.

    Parameters
    ----------
    figure : go.Figure
        The first content.
    """

    def __init__(self, figure: go.Figure) -> None:
        self._guard = threading.RLock()  # of the state; never held while others' functions run
        self._edits = 0
        super().__init__(figure)

    def _edited(self) -> None:
        """Do what follows an edit; called under the lock, also while plotly still makes the figure."""

    # Messages to the browser: plotly.py's five senders, without traits

    def _send_update_msg(
        self,
        restyle_data: dict,
        relayout_data: dict,
        trace_indexes: int | Sequence[int] | None = None,
        source_view_id: str | None = None,
    ) -> None:
        message = {
            "style_data": restyle_data or {},
            "layout_data": relayout_data or {},
            "style_traces": self._normalize_trace_indexes(trace_indexes),
        }
        self._post_edit("_py2js_update", message, source_view_id)

    def _send_restyle_msg(
        self, restyle_data: dict, trace_indexes: int | Sequence[int] | None = None, source_view_id: str | None = None
    ) -> None:
        message = {"restyle_data": restyle_data, "restyle_traces": self._normalize_trace_indexes(trace_indexes)}
        self._post_edit("_py2js_restyle", message, source_view_id)

    def _send_relayout_msg(self, layout_data: dict, source_view_id: str | None = None) -> None:
        self._post_edit("_py2js_relayout", {"relayout_data": layout_data}, source_view_id)

    def _send_addTraces_msg(self, new_traces_data: list) -> None:
        self._post_edit("_py2js_addTraces", {"trace_data": new_traces_data}, None)

    def _send_deleteTraces_msg(self, delete_inds: list[int]) -> None:
        self._post_edit("_py2js_deleteTraces", {"delete_inds": delete_inds}, None)

    def _post_edit(self, name: str, message: dict, source_view_id: str | None) -> None:
        """Send an edit as a custom message; the browser applies it to its copy of the state, too.

        Not as state, which would be whole each time. The state itself follows when there is quiet.
        """
        with self._guard:
            self._edits += 1
            ids = {"trace_edit_id": self._edits, "layout_edit_id": self._edits, "source_view_id": source_view_id}
            if self.comm is not None:
                plain = {"message": custom_serializers["to_json"](message | ids, self)}
                stripped, paths, buffers = _remove_buffers(plain)
                self.send({"kind": "edit", "name": name, "paths": paths} | dict(stripped), buffers)
            self._edited()

    # Messages from the browser

    def _take_change(self, name: str, message: Content) -> None:
        """Take what the user changed in the picture, of ``CHANGES``."""
        traces, source = message.get("style_traces"), message["source_view_id"]
        with self._guard:
            if name == "_js2py_restyle":
                self.plotly_restyle(message["style_data"], traces, source_view_id=source)
            elif name == "_js2py_relayout":
                self.plotly_relayout(message["relayout_data"], source_view_id=source)
            else:
                self.plotly_update(message["style_data"], message["layout_data"], traces, source_view_id=source)

    def _send_bundle(self) -> None:
        self.send({"kind": "bundle"}, [_bundle()])

    def _perform_plotly_relayout(self, relayout_data: dict) -> dict:
        changes = super()._perform_plotly_relayout(relayout_data)
        for key in relayout_data:  # the browser reports a zoom's range, not that autorange ended
            axis, _, what = key.partition(".")
            if what.startswith("range"):
                self._layout.get(axis, {}).pop("autorange", None)
        return changes


@functools.cache
def _bundle() -> bytes:
    """Plotly's own module for the browser."""
    return str(go.FigureWidget._esm).encode()
