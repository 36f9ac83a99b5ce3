"""Notes: what a model had to assume and what a dataset left out, in a few pale lines."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

from ravl_explore.support.text import one_line

MOST_SHOWN = 3


class Notes(widgets.HTML):
    """The first three sentences, and the others folded below them; nothing where there are none.

    Attributes
    ----------
    notes : tuple of str
        What is told, also what is folded.
    """

    notes: tuple[str, ...] = ()

    def show(self, notes: Sequence[str]) -> None:
        """Show other notes; what is said twice is shown once."""
        self.notes = tuple(dict.fromkeys(one_line(note) for note in notes if note.strip()))
        lines = [html.escape(note) for note in self.notes[:MOST_SHOWN]]
        rest = [html.escape(note) for note in self.notes[MOST_SHOWN:]]
        more = (
            f'<details><summary style="cursor:pointer">and {len(rest)} more</summary>{"<br>".join(rest)}</details>'
            if rest
            else ""
        )
        self.layout.display = "" if lines else "none"
        self.value = (
            '<div style="color:var(--jp-ui-font-color2,#666);font-size:12px;line-height:1.5;overflow-wrap:anywhere">'
            f"{'<br>'.join(lines)}{more}</div>"
            if lines
            else ""
        )
