"""PagedPreview: a few images of a dataset at a time, drawn in a thread, and arrows that turn the pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import ipywidgets as widgets

from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.latest import Begin, Latest, in_thread
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.pages import n_pages

Page = TypeVar("Page")


@dataclass(frozen=True, eq=False)
class Drawn(Generic[Page]):
    """One page, ready to be shown.

    Attributes
    ----------
    page : Page
        What was read.
    picture : str
        Its HTML.
    said : str
        A sentence above it.
    n_images : int
        How many images there are on all pages.
    """

    page: Page
    picture: str
    said: str
    n_images: int


class PagedPreview(Closing, widgets.VBox, Generic[Page]):
    """Images a page at a time, with arrows and a message above them; only the images on show are read.

    To make one, write ``_start``: it gives :meth:`_draw` what reads and draws page number ``_number``.

    Attributes
    ----------
    page : Page or None
        What is on show.
    message : Message
        What the pages say, or why there is nothing to see.
    """

    _lets_go = ("page",)

    _most: ClassVar[int | None] = None
    """How many images can be turned to; None for all."""

    _margin: ClassVar[str | None] = None
    """Around the images, as in CSS; None for the usual one."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self._number = 0
        self._n_images: int | None = None  # None while there is nothing to turn to
        self._latest = Latest()
        self.message = Message()
        self._images = widgets.HTML(layout=widgets.Layout(width="100%", margin=self._margin))
        self._back = _arrow("chevron-left", "Earlier images", self.message.told(lambda _: self.turn(-1)))
        self._next = _arrow("chevron-right", "More images", self.message.told(lambda _: self.turn(1)))
        super().__init__(self._rows(), layout=widgets.Layout(width="100%"))

    def _rows(self) -> list[widgets.Widget]:
        """What is on show, from top to bottom; asked for once."""
        return [self._top(), self._images]

    def _top(self, *before: widgets.Widget, flex_flow: str | None = None) -> widgets.HBox:
        """The arrows and the message in one row, after other widgets."""
        layout = widgets.Layout(align_items="center", flex_flow=flex_flow)
        return widgets.HBox([*before, self._back, self._next, self.message], layout=layout)

    def turn(self, by: int) -> Job | None:
        """Show a later or an earlier page, in a thread; None where there is none to turn to."""
        if self._n_images is None:
            return None
        self._number = min(max(0, self._number + by), n_pages(self._n_images, self._most) - 1)
        return self._start()

    def fail(self, error: BaseException) -> None:
        """Show why there is nothing to see."""
        with self._latest.lock:
            self._clear("")
            self.message.fail(error)

    def _start(self) -> Job | None:
        raise NotImplementedError

    def _draw(self, work: Callable[[Progress], Drawn[Page]], begin: Begin = in_thread) -> Job:
        """Show what ``work`` draws, unless something else is asked for meanwhile."""
        with self._latest.lock:
            self.message.say("Looking …")
            return self._latest.start(work, self._show, self._on_fail, lambda: self._clear("Cancelled."), begin)

    def _show(self, drawn: Drawn[Page]) -> None:
        self.page, self._images.value, self._n_images = drawn.page, drawn.picture, drawn.n_images
        self.message.say(drawn.said)
        self._show_state()

    def _on_fail(self, error: BaseException) -> None:
        """Show why this page cannot be drawn; others can be turned to."""
        self.page, self._images.value = None, ""
        self.message.fail(error)
        self._show_state()

    def _clear(self, said: str) -> None:
        with self._latest.lock:
            self._latest.cancel()
            self.page, self._images.value, self._n_images = None, "", None
            self.message.say(said)
            self._show_state()

    def _show_state(self) -> None:
        """Let the arrows be pressed where there is a page to turn to."""
        n = self._n_images
        self._back.disabled = n is None or self._number == 0
        self._next.disabled = n is None or self._number >= n_pages(n, self._most) - 1


def _arrow(icon: str, tooltip: str, on_click: Callable[[widgets.Button], object]) -> widgets.Button:
    button = widgets.Button(icon=icon, tooltip=tooltip, disabled=True, layout=widgets.Layout(width="36px"))
    button.on_click(on_click)
    return button
