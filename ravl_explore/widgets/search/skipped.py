"""Skipped: the images that a search could not read, counted, with the first few and why."""

from __future__ import annotations

import html
from pathlib import Path, PurePath

import ipywidgets as widgets

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import root_of
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.support.text import one_line

MOST_LISTED = 10


class Skipped(widgets.HTML):
    """A line that opens to a list; nothing where no image was skipped."""

    def show(self, unreadable: tuple[Unreadable, ...], data: ImageTextDataset | None = None) -> None:
        """Show what was skipped; paths from the folder of ``data`` on, where it has one."""
        n = len(unreadable)
        self.layout.display = "" if n else "none"
        if not n:
            self.value = ""
            return
        root = root_of(data)
        items = [
            f"<li><code>{html.escape(one_line(_inside(image.where, root)))}</code>: "
            f"{html.escape(one_line(image.reason))}</li>"
            for image in unreadable[:MOST_LISTED]
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


def _inside(where: str, root: Path | None) -> str:
    path = PurePath(where)
    return str(path.relative_to(root)) if root is not None and path.is_relative_to(root) else where
