"""CachePanel: the embeddings that are kept on disk, and what deletes them."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from ravl_explore.embedding.cache import CachedEmbeddings, clear_cached, list_cached
from ravl_explore.errors import RavlError
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.message import Message

MOST_ROWS = 8


class CachePanel(Closing, widgets.VBox):
    """A list of cached embeddings, newest first; pick some to delete, or delete all.

    Attributes
    ----------
    entries : list of CachedEmbeddings
        What is listed, newest first.
    """

    def __init__(self) -> None:
        self.entries: list[CachedEmbeddings] = []
        self.message = Message()
        self._list = widgets.SelectMultiple(
            rows=MOST_ROWS, layout=widgets.Layout(width="100%", margin="4px 0"), tooltip="Ctrl- or ⌘-click for several"
        )
        self._list.add_class("ravl-cache")
        told = self.message.told
        self._delete = _button("Delete", "trash", "Delete what is picked in the list", told(self._on_delete))
        self._all = _button(
            "Delete all", "trash", "Delete every entry, and the boxes that detectors found", told(self._on_all)
        )
        self._refresh = _button("Refresh", "refresh", "Look again", told(lambda _: self.refresh()))
        buttons = widgets.HBox([self._delete, self._all, self._refresh])
        super().__init__([self.message, self._list, buttons], layout=widgets.Layout(width="100%"))
        self._list.observe(self.message.told(lambda _: self._show_state()), "value")
        self.refresh()

    def refresh(self) -> None:
        """List what is there now."""
        try:
            self.entries = list_cached()
        except (RavlError, OSError) as error:
            self.entries = []
            self.message.fail(error)
            return
        self._list.options = [(_line(entry), str(entry.folder)) for entry in self.entries]
        self._list.value = ()
        self._list.rows = min(MOST_ROWS, max(2, len(self.entries)))
        size = describe_bytes(sum(entry.bytes for entry in self.entries))
        n = len(self.entries)
        self.message.say(
            f"{n} set{'s' * (n != 1)} of embeddings, {size}: a search with the same model, images and regions starts "
            "from them, and an interrupted one goes on."
            if n
            else "Nothing is cached yet. Embeddings of images in files are kept: the next search starts at once."
        )
        self._show_state()

    def _on_delete(self, _: object) -> None:
        self._clear(list(self._list.value))

    def _on_all(self, _: object) -> None:
        if self._all.description == "Delete all":
            self._all.description, self._all.button_style = "Really?", "danger"  # a second press does it
        else:
            self._clear([None])  # all: also the boxes of detectors, which are no entries

    def _clear(self, folders: list[str] | list[None]) -> None:
        freed, failed = 0, None
        for folder in folders:
            try:
                freed += clear_cached(folder)
            except (RavlError, OSError) as error:
                failed = error
        self.refresh()
        if failed is not None:
            self.message.fail(failed)
        else:
            self.message.say(f"{describe_bytes(freed)} freed. {self.message.text}")

    def _show_state(self) -> None:
        there = bool(self.entries)
        self._list.layout.display = "" if there else "none"
        self._delete.disabled = not self._list.value
        self._all.disabled = not there
        self._all.description, self._all.button_style = "Delete all", ""


def _line(entry: CachedEmbeddings) -> str:
    if not entry.model_name:
        what = "of another version, or damaged"
    else:
        what = (
            f"{one_line(entry.model_name)} on {one_line(entry.data_name)}: {entry.n_images:,} images, "
            f"{entry.n_regions:,} regions{'' if entry.complete else ', not finished'}"
        )
    return f"{what} · {describe_bytes(entry.bytes)} · {entry.modified:%Y-%m-%d %H:%M}"


def describe_bytes(n: int) -> str:
    """Bytes as a person would say them.

    >>> describe_bytes(2_500_000), describe_bytes(300)
    ('2.5 MB', '300 bytes')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} bytes"


def _button(text: str, icon: str, tooltip: str, on_click: Callable[[widgets.Button], object]) -> widgets.Button:
    button = widgets.Button(description=text, icon=icon, tooltip=tooltip, layout=widgets.Layout(width="110px"))
    button.on_click(on_click)
    return button
