"""ConceptPreview: which concept masks to use, and what they cover on a few images, before anything is trained."""

from __future__ import annotations

import base64
import html
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image

from ravl_explore import concepts
from ravl_explore.concepts.base import ConceptMasks, ConceptSource
from ravl_explore.data.base import ImageTextDataset, checked_image
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.progress import Progress, report
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.menus import PartMenu, choices
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.pages import arrow, n_pages, page_of, place
from ravl_explore.widgets.findings.crop_source import image_name, png
from ravl_explore.widgets.search.assumptions import Notes

HEIGHT = 150  # pixels of the screen
STORED = 2 * HEIGHT  # pixels sent per image: sharp on a screen of two pixels a pixel
PROMOTED, SUPPRESSED = (0, 114, 178), (230, 97, 0)  # blue and orange: told apart by colour-blind eyes too
STRENGTH = 150  # of the tint, of 255
STRIPE = 6  # pixels of a stripe in what is suppressed: it can be told from what is promoted without colours
NO_DATA = "Run discovery and pick the images to fine-tune on first."
HINT = "Press “Show masks” to see them on a few images."
STYLE = f"""<style>
.ravl-masks {{ display: flex; flex-wrap: wrap; gap: 12px; color: var(--jp-ui-font-color1, #222); }}
.ravl-masks figure {{ margin: 0; }}
.ravl-masks figcaption {{ font-size: 12px; line-height: 1.5; max-width: 260px; overflow-wrap: anywhere; }}
.ravl-masks img {{ display: block; max-width: 100%; height: {HEIGHT}px; }}
.ravl-masks p {{ margin: 0; width: 200px; white-space: normal; overflow-wrap: anywhere; }}
.ravl-masks-key {{ font-size: 12px; color: var(--jp-ui-font-color1, #222); margin: 4px 0; }}
.ravl-masks-key span {{ display: inline-block; width: 14px; height: 14px; margin: 0 4px 0 10px; vertical-align: -2px;
  border: 1px solid var(--jp-border-color1, #999); }}
</style>"""
KEY = (
    f'<div class="ravl-masks-key"><span style="background:rgb{PROMOTED}"></span>promoted: look here'
    f'<span style="background:repeating-linear-gradient(45deg,rgb{SUPPRESSED} 0 3px,#000 3px 6px)"></span>'
    "suppressed: not here<span></span>neither</div>"
)


@dataclass(frozen=True, eq=False)
class MaskPage:
    """A few images with their masks; ``pixels`` is None, and ``reason`` says why, for one that cannot be read."""

    index: tuple[int, ...]
    names: tuple[str, ...]
    pixels: tuple[np.ndarray | None, ...]
    promote: tuple[np.ndarray | None, ...]
    suppress: tuple[np.ndarray | None, ...]
    reasons: tuple[str, ...]


@dataclass
class _Opened:
    """What was opened for a source, so that turning a page opens nothing again."""

    source: ConceptSource
    offered: Any
    data: ImageTextDataset
    masks: ConceptMasks


@dataclass
class _Offer:
    """The images, or what opens them, and what says what their regions show; with what these gave."""

    data: Any
    shown: Callable[[ImageTextDataset, Progress], Any] | None
    made: dict[str, Any] = field(default_factory=dict)


class ConceptPreview(Closing, widgets.VBox):
    """A menu of mask sources, a button, and images a page at a time; only what is on show is read or drawn.

    Attributes
    ----------
    menu : the sources of ``ravl_explore.concepts``
    page : what is on show, or None
    """

    _lets_go = ("page", "_offer", "_opened", "_job")

    def __init__(self) -> None:
        self.page: MaskPage | None = None
        self._offer: _Offer | None = None
        self._opened: _Opened | None = None
        self._number, self._job = 0, None
        self._locked = False
        self._swap = threading.RLock()
        self.menu = PartMenu("Masks of where to look", choices(concepts))
        self.menu.layout.width = "420px"
        self.show_button = widgets.Button(
            description="Show masks", icon="eye", layout=widgets.Layout(width="130px"), tooltip="On a few images"
        )
        self.message, self.progress, self.notes = Message(), ProgressLine(), Notes()
        self._back = arrow("chevron-left", "Earlier images", self.message.told(lambda _: self.turn(-1)))
        self._next = arrow("chevron-right", "More images", self.message.told(lambda _: self.turn(1)))
        self._key = widgets.HTML(STYLE + KEY, layout=widgets.Layout(display="none"))
        self._images = widgets.HTML(layout=widgets.Layout(width="100%"))
        top = widgets.HBox(
            [self.show_button, self._back, self._next, self.message],
            layout=widgets.Layout(align_items="center", flex_flow="row wrap"),
        )
        super().__init__(
            [self.menu, top, self.progress, self._key, self._images, self.notes], layout=widgets.Layout(width="100%")
        )
        self.progress.layout.display = "none"
        self.show_button.on_click(self.message.told(lambda _: self.show()))
        self.menu.observe(self.message.told(self._on_pick), "changes")
        self.notes.show(())
        self._clear(NO_DATA)

    def offer(
        self,
        data: ImageTextDataset | Callable[[Progress], ImageTextDataset] | None,
        shown: Callable[[ImageTextDataset, Progress], Any] | None = None,
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

    def turn(self, by: int) -> Job | None:
        """Show a later or an earlier page."""
        if self._opened is None:
            return None
        self._number = min(max(0, self._number + by), n_pages(len(self._opened.data)) - 1)
        return self._start()

    def _start(self) -> Job | None:
        try:
            if self._offer is None:
                raise InputError("images to show masks on", "none", NO_DATA)
            source = self.source
        except Exception as error:
            self._clear("")
            self.message.fail(error)
            return None
        offer, number = self._offer, self._number

        def work(progress: Progress) -> tuple[_Opened, MaskPage, str]:
            opened = self._open(source, offer, progress)
            page = read_page(opened.data, opened.masks, number, progress)
            return opened, page, _drawn(page)

        with self._swap:
            if self._job is not None:
                self._job.cancel()
            self.message.say("Looking …")
            self.progress.layout.display = ""
            self._job = job = self.progress.run(work, self.message.told(self._on_end), "Opening the masks")
            self._show_state()
        return job

    def _open(self, source: ConceptSource, offer: _Offer, progress: Progress) -> _Opened:
        with self._swap:
            opened = self._opened
        if opened is not None and opened.source is source and opened.offered is offer:
            return opened
        if "data" not in offer.made:
            offer.made["data"] = offer.data(progress) if callable(offer.data) else offer.data
        data: Any = offer.made["data"]
        if source.uses_regions and offer.shown is not None and "shown" not in offer.made:
            offer.made["shown"] = offer.shown(data, progress)
        return _Opened(source, offer, data, source.open(data, offer.made.get("shown")))

    def _on_end(self, job: Job) -> None:
        with self._swap:
            if job is not self._job:
                return  # something else was asked for meanwhile
            self._job = None
            self.progress.layout.display = "none"
            if job.error is not None:
                self._clear("")
                self.message.fail(job.error)
            elif job.cancelled:
                self._clear("Cancelled.")
            else:
                opened, page, self._images.value = job.result
                self._opened, self.page = opened, page
                self._key.layout.display = ""
                self.message.say(place(self._number, len(opened.data)))
                self.notes.show(opened.masks.notes)
            self._show_state()

    def _on_pick(self, _: Any) -> None:
        self._clear(NO_DATA if self._offer is None else HINT)

    def _clear(self, said: str) -> None:
        with self._swap:
            if self._job is not None:
                self._job.cancel()
                self._job = None
                self.progress.layout.display = "none"
            self._opened, self.page, self._images.value, self._key.layout.display = None, None, "", "none"
            self.notes.show(())
            self.message.say(said)
            self._show_state()

    def _show_state(self) -> None:
        idle = self._job is None and not self._locked
        last = n_pages(len(self._opened.data)) - 1 if self._opened is not None else 0
        self.show_button.disabled = not idle or self._offer is None
        self._back.disabled = not idle or self._opened is None or self._number == 0
        self._next.disabled = not idle or self._opened is None or self._number >= last


def read_page(data: ImageTextDataset, masks: ConceptMasks, number: int, progress: Progress | None = None) -> MaskPage:
    """Read a page's images, which are spread evenly over the dataset, and their masks.

    Raises
    ------
    RavlError
        Whatever reading a mask raises; an image that cannot be read is only told.
    """
    if len(masks) != len(data):
        raise InputError(f"masks of these {len(data):,} images", f"of {len(masks):,}", "Open them for this dataset.")
    index = tuple(page_of(number, len(data)))
    rows: list[tuple[Any, ...]] = []
    for image in index:
        report(progress, len(rows), len(index), "Making concept masks")
        try:
            pixels = checked_image(data, image)
        except DataError as error:
            rows.append((None, None, None, str(error)))
            continue
        rows.append((pixels, *masks(image), ""))
    names = tuple(one_line(image_name(data, image)) for image in index)
    pixels_, promote, suppress, reasons = zip(*rows, strict=True)
    return MaskPage(index, names, pixels_, promote, suppress, reasons)


def tint(
    pixels: np.ndarray, promote: np.ndarray, suppress: np.ndarray, strength: int = STRENGTH, stripe: int = STRIPE
) -> np.ndarray:
    """The image with promoted pixels in blue and suppressed ones in orange and black stripes, (h, w, 3) uint8."""
    shown = pixels.astype(np.float32)
    rows, columns = np.indices(promote.shape)
    striped = ((rows + columns) // stripe) % 2 == 0
    for mask, colour in ((promote, PROMOTED), (suppress & striped, SUPPRESSED), (suppress & ~striped, (0, 0, 0))):
        shown[mask] += (np.array(colour, np.float32) - shown[mask]) * (strength / 255)
    return shown.round().astype(np.uint8)


def _drawn(page: MaskPage) -> str:
    figures = []
    for name, pixels, promote, suppress, reason in zip(
        page.names, page.pixels, page.promote, page.suppress, page.reasons, strict=True
    ):
        if pixels is None or promote is None or suppress is None:
            figures.append(f"<figure><p>{html.escape(reason)}</p></figure>")
            continue
        small = max(pixels.shape[:2]) <= STORED
        image = (
            _at_screen_size(pixels, promote, suppress)
            if small
            else tint(pixels, promote, suppress, stripe=max(1, STRIPE * max(pixels.shape[:2]) // STORED))
        )
        said = html.escape(f"{name} · {_covers(promote, 'promoted')}, {_covers(suppress, 'suppressed')}")
        source = base64.b64encode(png(Image.fromarray(image), STORED)).decode()
        figures.append(
            f'<figure><img alt="{said}" src="data:image/png;base64,{source}"><figcaption>{said}</figcaption></figure>'
        )
    return f'<div class="ravl-masks">{"".join(figures)}</div>'


def _at_screen_size(pixels: np.ndarray, promote: np.ndarray, suppress: np.ndarray) -> np.ndarray:
    """A small image enlarged before it is tinted, so that stripes are finer than its pixels."""
    factor = max(1, STORED // max(pixels.shape[:2]))
    pixels, promote, suppress = (
        np.repeat(np.repeat(each, factor, 0), factor, 1) for each in (pixels, promote, suppress)
    )
    return tint(pixels, promote, suppress)


def _covers(mask: np.ndarray, what: str) -> str:
    return f"{mask.mean():.0%} {what}" if mask.any() else f"nothing {what}"
