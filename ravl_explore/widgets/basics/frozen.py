"""Frozen: once the kernel is gone, one sentence in the page says so, and what was kept."""

from __future__ import annotations

import anywidget
import traitlets

from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style


class Frozen(Closing, anywidget.AnyWidget):
    """Shows nothing while the kernel lives; put it among the children of an explorer or a panel.

    A kernel that was restarted, or was killed for its memory, can say nothing more: what it kept is told beforehand.
    """

    _esm = script("frozen.js")
    _css = style("frozen.css")
    kept = traitlets.Unicode("").tag(sync=True)
    """What was kept, as plain sentences."""

    def training(self, folder: str | None) -> None:
        """Note that a training begins."""
        self.kept = (
            "The training that ran is lost, for it had no run folder."
            if folder is None
            else f"The training that ran goes on from its last checkpoint when it is started again with the run folder "
            f"{one_line(folder)}."
        )

    def trained(self, anything: bool, folder: str | None) -> None:
        """Note whether the last training that ended has left anything, and where."""
        if not anything:
            self.kept = ""
        elif folder is None:
            self.kept = "What was trained is lost, for it had no run folder."
        else:
            self.kept = f"What was trained last is in the run folder {one_line(folder)}."
