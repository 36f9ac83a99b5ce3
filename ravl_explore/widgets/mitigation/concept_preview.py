"""ConceptPreview: which concept masks to use, and what they cover on a few images, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ipywidgets as widgets

from ravl_explore import concepts
from ravl_explore.assignment.assignment import Assignment
from ravl_explore.concepts.base import ConceptMasks, ConceptSource
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import InputError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.menus import PartMenu, choices
from ravl_explore.widgets.basics.notes import Notes
from ravl_explore.widgets.basics.paged_preview import Drawn, PagedPreview
from ravl_explore.widgets.basics.pages import place
from ravl_explore.widgets.mitigation.mask_page import KEY, MaskPage, drawn, read_page

NO_DATA = "Run discovery and pick the images to fine-tune on first."
HINT = "Press “Show masks” to see them on a few images."


class ConceptPreview(PagedPreview[MaskPage]):
    """A menu of mask sources, a button, and images a page at a time; only what is on show is read or drawn.

    Attributes
    ----------
    menu : PartMenu
        The sources of ``ravl_explore.concepts``.
    page : MaskPage or None
        What is on show.
    """

    _lets_go = ("page", "_offer", "_opened")

    def __init__(self) -> None:
        self._offer: _Offer | None = None
        self._opened: _Opened | None = None
        self._locked = False
        self.menu: PartMenu[ConceptSource] = PartMenu("Masks of where to look", choices(concepts))
        self.menu.layout.width = "420px"
        self.show_button = widgets.Button(
            description="Show masks", icon="eye", layout=widgets.Layout(width="130px"), tooltip="On a few images"
        )
        self.progress, self.notes = ProgressLine(), Notes()
        self.progress.layout.display = "none"
        self._key = widgets.HTML(KEY, layout=widgets.Layout(display="none"))
        super().__init__()
        self.show_button.on_click(self.message.told(lambda _: self.show()))
        self.menu.observe(self.message.told(lambda _: self._clear(NO_DATA if self._offer is None else HINT)), "changes")
        self._clear(NO_DATA)

    def _rows(self) -> list[widgets.Widget]:
        top = self._top(self.show_button, flex_flow="row wrap")
        return [self.menu, top, self.progress, self._key, self._images, self.notes]

    def offer(
        self,
        data: ImageTextDataset | Callable[[Progress], ImageTextDataset] | None,
        shown: Callable[[ImageTextDataset, Progress], Assignment] | None = None,
    ) -> None:
        """Take images, or what opens them: ``data(progress)``; ``shown(data, progress)`` gives their Assignment.

        Both are called in a thread, the first time that masks are shown; offer again where they would give something
        else, such as the regions of other features.
        """
        self._offer = None if data is None else _Offer(data, shown)
        self._clear(NO_DATA if data is None else HINT)

    @property
    def source(self) -> ConceptSource:
        """What is picked, for ``mitigate(concepts=...)``.

        Raises
        ------
        RavlError
            When an answer is missing, or a path is wrong.
        """
        return self.menu.make()

    @property
    def disabled(self) -> bool:
        """Whether nothing can be picked or shown."""
        return self._locked

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self._locked = self.menu.disabled = disabled
        self._show_state()

    def show(self) -> Job | None:
        """Show masks of the picked source on the first page of images, in a thread."""
        self._number = 0
        return self._start()

    def _start(self) -> Job | None:
        try:
            if self._offer is None:
                raise InputError("images to show masks on", "none", NO_DATA)
            offer, source = self._offer, self.source
        except Exception as error:
            self.fail(error)
            return None
        with self._latest.lock:
            if self._opened is None or not self._opened.is_of(source, offer):
                self._opened = _Opened(source, offer)
            opened, number = self._opened, self._number

            def work(progress: Progress) -> Drawn[MaskPage]:
                data, masks = opened.open(progress)
                page = read_page(data, masks, number, progress)
                return Drawn(page, drawn(page), place(number, len(data)), len(data))

            self.progress.layout.display = ""
            job = self._draw(work, partial(self.progress.run, title="Opening the masks"))
            self._show_state()
        return job

    def _show(self, drawn: Drawn[MaskPage]) -> None:
        self.progress.layout.display, self._key.layout.display = "none", ""
        self.notes.show(drawn.page.notes)
        super()._show(drawn)

    def _on_fail(self, error: BaseException) -> None:
        self.fail(error)  # also of the masks that were opened: a file may be mended before they are opened again

    def _clear(self, said: str) -> None:
        with self._latest.lock:
            self._opened = None
            self.progress.layout.display = self._key.layout.display = "none"
            self.notes.show(())
            super()._clear(said)

    def _show_state(self) -> None:
        super()._show_state()
        busy = self._latest.working or self._locked
        self.show_button.disabled = busy or self._offer is None
        self._back.disabled = busy or self._back.disabled
        self._next.disabled = busy or self._next.disabled


@dataclass(eq=False)
class _Offer:
    """The images, or what opens them, and what says what their regions show; with what these gave."""

    data: ImageTextDataset | Callable[[Progress], ImageTextDataset]
    shown: Callable[[ImageTextDataset, Progress], Assignment] | None
    opened: ImageTextDataset | None = None
    assignment: Assignment | None = None

    def images(self, progress: Progress) -> ImageTextDataset:
        if self.opened is None:
            self.opened = self.data(progress) if callable(self.data) else self.data
        return self.opened

    def regions_of(self, data: ImageTextDataset, source: ConceptSource, progress: Progress) -> Assignment | None:
        if self.assignment is None and source.uses_regions and self.shown is not None:
            self.assignment = self.shown(data, progress)
        return self.assignment


@dataclass(eq=False)
class _Opened:
    """Masks of a source for what was offered, opened once, so that turning a page opens nothing again."""

    source: ConceptSource
    offer: _Offer
    masks: ConceptMasks | None = None

    def is_of(self, source: ConceptSource, offer: _Offer) -> bool:
        return self.source is source and self.offer is offer

    def open(self, progress: Progress) -> tuple[ImageTextDataset, ConceptMasks]:
        data = self.offer.images(progress)
        if self.masks is None:
            self.masks = self.source.open(data, self.offer.regions_of(data, self.source, progress))
        return data, self.masks
