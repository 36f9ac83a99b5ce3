"""Skipped: the images that a search could not read, counted, with the first few and why."""

from __future__ import annotations

import html

import ipywidgets as widgets

from ravl_explore.embedding import Unreadable
from ravl_explore.text import one_line

MOST_LISTED = 10


class Skipped(widgets.HTML):
    """A line that opens to a list; nothing where no image was skipped."""

    def show(self, unreadable: tuple[Unreadable, ...]) -> None:
        """Show what was skipped."""
        n = len(unreadable)
        self.layout.display = "" if n else "none"
        if not n:
            self.value = ""
            return
        items = [
            f"<li><code>{html.escape(one_line(each.where))}</code>: {html.escape(one_line(each.reason))}</li>"
            for each in unreadable[:MOST_LISTED]
        ]
        if n > MOST_LISTED:
            items.append(
                f"<li>and {n - MOST_LISTED:,} more, in <code>discovery.scores.embeddings.unreadable</code></li>"
            )
        what = "1 image was" if n == 1 else f"{n:,} images were"
        self.value = (
            '<details style="color:var(--jp-ui-font-color1,#222);line-height:1.5"><summary style="cursor:pointer">'
            f"{what} skipped: the file cannot be read</summary>"
            f'<ul style="margin:2px 0;padding-left:24px;overflow-wrap:anywhere">{"".join(items)}</ul></details>'
        )
