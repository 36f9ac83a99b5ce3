"""KeyGuard: keeps the notebook's one-letter shortcuts away from what is typed in the explorer."""

from __future__ import annotations

import anywidget
import ipywidgets as widgets

from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script


class KeyGuard(Closing, anywidget.AnyWidget):
    """Shows nothing; put it among the explorer's children."""

    _esm = script("keys.js")

    def __init__(self) -> None:
        super().__init__(layout=widgets.Layout(height="0", margin="0", overflow="hidden"))
