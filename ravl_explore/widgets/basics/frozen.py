"""Frozen: once the kernel is gone, one sentence in the page says so, and what was kept."""

from __future__ import annotations

import anywidget
import traitlets

from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style
from ravl_explore.widgets.mitigation.work import Finished


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

    def trained(self, finished: Finished | None) -> None:
        """Note what the last training that ended has left."""
        if finished is None:
            self.kept = ""
        elif finished.folder is None:
            self.kept = "What was trained is lost, for it had no run folder."
        else:
            self.kept = f"What was trained last is in the run folder {one_line(finished.folder)}."
