"""What a person does is an act, not a value: it is told each time, also when nothing changes by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets
from traitlets import Bunch

Content = Mapping[str, Any]
"""A message of the browser, as its JSON was read; the script in ``static/`` says what is in it."""


def act(owner: traitlets.HasTraits, name: str, value: object) -> None:
    """Set a trait because of a click or the like: its observers hear of it, also when it has the value already.

    A row may be the selected one while map and crops show something else; a click on it still says "show this".

    Parameters
    ----------
    owner : HasTraits
        Whose trait it is.
    name : str
        Of the trait.
    value : object
        What it shall have.
    """
    old = getattr(owner, name)
    if old == value:
        owner.notify_change(Bunch(name=name, old=old, new=old, owner=owner, type="change"))
    else:
        setattr(owner, name, value)


class RowPicker(anywidget.AnyWidget):
    """A table of which one row is selected at a time, by click or keyboard."""

    _number = "index"
    """The key of a row's number."""

    selected: traitlets.Int[int | None, int | None] = traitlets.Int(None, allow_none=True).tag(sync=True)
    """The number of the selected row, or None; set it, or observe it.

    Whoever observes it hears of every click on a row, also on the one that is selected."""

    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    """What is in the table, plain JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(self._on_message)

    def _on_message(self, _: object, content: Content, __: object) -> None:
        if content.get("kind") == "select" and any(row[self._number] == content["row"] for row in self.rows):
            act(self, "selected", content["row"])  # else of a row that has gone since the click
