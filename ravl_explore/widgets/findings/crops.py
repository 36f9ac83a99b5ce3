"""The selected regions as thumbnails, and any crop opened in its whole image with its box, label and scores."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import anywidget
import ipywidgets
import numpy as np
import traitlets
from traitlets import Bunch

from ravl_explore.errors import InputError
from ravl_explore.widgets.basics.acts import Content, act
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style
from ravl_explore.widgets.findings.crop_answers import Answer, CropAnswers, told
from ravl_explore.widgets.findings.crop_checks import CropSource, checked_index, checked_source


@dataclass(frozen=True, eq=False)
class _Shown:
    """One list of crops; replaced as a whole, so that any thread sees either the old list or the new one."""

    source: CropSource
    index: np.ndarray
    title: str = ""
    selected: int | None = None
    revision: int = 0

    def page_of(self, region: int | None, page_size: int) -> int | None:
        """Return the page that holds a region, or None."""
        if region is None:
            return None
        found = np.flatnonzero(self.index == region)
        return int(found[0]) // page_size if len(found) else None

    def n_pages(self, page_size: int) -> int:
        """Return how many pages there are; an empty list has one."""
        return max(1, math.ceil(len(self.index) / page_size))


class _RegionId(traitlets.Int):
    """A whole number from 0 up, NumPy's included, or None."""

    def validate(self, obj: traitlets.HasTraits | None, value: object) -> int | None:
        """Turn NumPy integers into Python's, and refuse negative ones."""
        if value is None or isinstance(value, (bool, np.bool_)):
            return super().validate(obj, None if value is None else "a bool")
        number = _whole(value)
        if number is None or number < 0:
            self.error(obj, value)
        return super().validate(obj, number)


def _whole(value: object) -> int | None:
    """A whole number as Python's own; None for anything else, arrays of several too."""
    try:
        return operator.index(value) if isinstance(value, SupportsIndex) else None
    except TypeError:
        return None


class CropGallery(Closing, anywidget.AnyWidget):
    """A page of thumbnails, and one crop opened in its whole image.

    Nothing is encoded before the browser asks for it, and then only one page. All state lives in the kernel: a
    reloaded page shows the same crops. Methods and traits may be used from any thread.

    Parameters
    ----------
    source : CropSource
        Where pixels and facts come from.
    page_size : int
        Most thumbnails on one page, 1 to 500.
    thumbnail : int
        Side of a thumbnail in pixels of the screen, 24 to 384.

    Raises
    ------
    InputError
        When ``source`` lacks a method.
    traitlets.TraitError
        For a ``page_size`` or ``thumbnail`` out of range.

    Examples
    --------
    >>> class Source:
    ...     def crop(self, region, size): ...
    ...     def image(self, region, size): ...
    ...     def describe(self, region): ...
    >>> gallery = CropGallery(Source(), page_size=2)
    >>> gallery.show([7, 3, 5], title="cluster 4", selected=5)
    >>> gallery.total, gallery.page, gallery.selected
    (3, 1, 5)
    """

    _lets_go = ("_shown",)

    _esm = script("crops.js")
    _css = style("crops.css")

    title = traitlets.Unicode("").tag(sync=True)
    """Line above the thumbnails. Plain text."""

    total = traitlets.Int(0, read_only=True).tag(sync=True)
    """How many crops the whole list has, on all pages."""

    selected: traitlets.TraitType[int | None, int | np.integer | None] = _RegionId(None, allow_none=True).tag(sync=True)
    """Region id of the highlighted crop, or None. Setting it turns to its page, if it is in the list. Observers hear of
    every click on a crop."""

    opened = traitlets.Bool(False).tag(sync=True)
    """Whether the selected crop is open in its whole image."""

    page = traitlets.Int(0).tag(sync=True)
    """Page on show, from 0; kept within the list."""

    page_size = traitlets.Int(60, min=1, max=500).tag(sync=True)
    """Most thumbnails on one page."""

    thumbnail = traitlets.Int(96, min=24, max=384).tag(sync=True)
    """Side of a thumbnail in pixels of the screen."""

    _revision = traitlets.Int(0).tag(sync=True)
    """Grows with each new list: the browser then asks for its page anew."""

    def __init__(self, source: CropSource, *, page_size: int = 60, thumbnail: int = 96) -> None:
        self._state_lock = threading.Lock()  # guards the swap of _shown; never held while an observer may run
        self._answers = CropAnswers()
        self._shown = _Shown(checked_source(source), np.zeros(0, np.int64))
        super().__init__(page_size=page_size, thumbnail=thumbnail, layout=ipywidgets.Layout(width="100%"))
        self.on_msg(self._on_message)

    @property
    def source(self) -> CropSource:
        """Where pixels and facts come from; setting another one empties the gallery."""
        return self._shown.source

    @source.setter
    def source(self, source: CropSource) -> None:
        self._replace(source=checked_source(source), index=np.zeros(0, np.int64), title="", selected=None)

    def show(self, region_index: Sequence[int] | np.ndarray, title: str = "", selected: int | None = None) -> None:
        """Show these regions, in this order, from the first page or the one with ``selected``.

        Parameters
        ----------
        region_index : (n,) int
            Region ids, each once; none empties the gallery.
        title : str
            Line above the thumbnails, as plain text.
        selected : int, optional
            Which of them to highlight; without one, the opened image closes.

        Raises
        ------
        InputError
            For ids that are not whole numbers from 0 up, that come twice, or for a ``selected`` not among them.
        """
        index = checked_index(region_index)
        if selected is not None:
            selected = operator.index(selected)
            if not (index == selected).any():
                raise InputError(
                    "selected to be one of the shown regions", f"{selected}", "Put it in region_index, or give None."
                )
        self._replace(index=index, title=str(title), selected=selected)

    def _replace(
        self,
        index: np.ndarray,
        title: str,
        selected: int | None,
        source: CropSource | None = None,
    ) -> None:
        """Swap the list, then tell the browser; safe against another thread that does the same."""
        with self._state_lock:
            self._shown = _Shown(
                self._shown.source if source is None else source, index, title, selected, self._shown.revision + 1
            )
        while True:
            shown = self._shown
            self.set_trait("total", len(shown.index))
            self.title = shown.title
            self.page = shown.page_of(shown.selected, self.page_size) or 0
            if shown.selected is None:
                self.opened = False
            self.selected = shown.selected
            self._revision = shown.revision
            if shown is self._shown:  # else another thread, or an observer, has swapped it meanwhile
                return

    @traitlets.validate("page")
    def _keep_page_in_list(self, proposal: Bunch) -> int:
        return min(max(0, proposal.value), self._shown.n_pages(self.page_size) - 1)

    @traitlets.observe("selected")
    def _turn_to_selected(self, change: Bunch) -> None:
        page = self._shown.page_of(change.new, self.page_size)
        if page is not None:
            self.page = page

    @traitlets.observe("page_size", "thumbnail")
    def _lay_out_again(self, _: object) -> None:
        shown, selected = self._shown, self.selected
        if len(shown.index):
            listed = shown.page_of(selected, self.page_size) is not None
            self._replace(index=shown.index, title=self.title, selected=selected if listed else None)

    def _on_message(self, _: object, content: object, __: object) -> None:
        """Answer the browser; whatever goes wrong is told there."""
        if not isinstance(content, Mapping) or content.get("kind") not in ("page", "detail", "select"):
            return
        kind = "page" if content["kind"] == "page" else "detail"
        try:
            answer, images = self._page(content) if kind == "page" else self._detail(content)
        except Exception as error:  # the browser waits for this answer, and shows it
            answer, images = {"errors": [told(error)]}, []
        self.send({"kind": kind, "request": content.get("request"), **answer}, images)

    def _page(self, content: Content) -> Answer:
        shown, page_size = self._shown, self.page_size
        turned = content.get("page")  # None: the browser draws the kernel's page, the user has not turned it
        if turned is not None and content.get("revision") == shown.revision:  # else it was meant for another list
            self.page = int(turned)
        page = self.page
        scale = min(max(1.0, float(content.get("scale", 1.0))), 2.0)  # more than two pixels a pixel is not seen
        start = page * page_size
        regions = shown.index[start : start + page_size].tolist()
        answer, images = self._answers.thumbnails(shown.source, regions, round(self.thumbnail * scale))
        return {"page": page, "start": start, "total": len(shown.index), **answer}, images

    def _detail(self, content: Content) -> Answer:
        region = content.get("region")
        if content["kind"] == "select":
            act(self, "selected", region)
            self.opened = bool(content.get("opened"))
        if region is None or not content.get("opened"):
            return {"region": None}, []
        return self._answers.whole_image(self._shown.source, region)
