"""RegionPreview: the boxes of a proposer on a few images of a dataset, before anything is embedded."""

from __future__ import annotations

import base64
import html
import threading
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image

from ravl_explore.data.base import ImageTextDataset, checked_image
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.given import Given
from ravl_explore.regions.proposing import propose
from ravl_explore.support.progress import Progress, report
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.job import Job
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.pages import arrow, n_pages, page_of, place
from ravl_explore.widgets.findings.crop_source import png

MOST_IMAGES = 10_000  # that can be turned to; a proposer is asked for the boxes of all images up to the last one shown
HEIGHT = 150  # pixels of the screen
STORED = 2 * HEIGHT  # pixels sent per image: sharp on a screen of two pixels a pixel
COLORS = ("#E69F00", "#56B4E9", "#F0E442", "#FF7FCF", "#39D98A", "#FF6B35")  # bright: seen on dark photographs too
STYLE = """<style>
.ravl-preview { display: flex; flex-wrap: wrap; gap: 12px; color: var(--jp-ui-font-color1, #222); }
.ravl-preview figure { margin: 0; }
.ravl-preview figcaption { font-size: 12px; line-height: 1.5; }
.ravl-preview svg { display: block; max-width: 100%; image-rendering: pixelated; overflow: visible; }
.ravl-preview svg.smooth { image-rendering: auto; }
.ravl-preview rect { fill: transparent; vector-effect: non-scaling-stroke; }
.ravl-preview rect.edge { stroke: #fff; stroke-width: 5px; pointer-events: none; }
.ravl-preview rect.line { stroke: #000; stroke-width: 3.5px; pointer-events: none; }
.ravl-preview rect.box { stroke: var(--box); stroke-width: 2px; }
.ravl-preview rect.box:hover { fill: color-mix(in srgb, var(--box) 35%, transparent); stroke-width: 3px; }
.ravl-preview p { margin: 0; width: 200px; white-space: normal; overflow-wrap: anywhere; }
</style>"""


@dataclass(frozen=True, eq=False)
class Page:
    """A few images with their boxes: ``pixels`` is None, and ``reason`` says why, for one that cannot be read."""

    index: tuple[int, ...]
    pixels: tuple[np.ndarray | None, ...]
    reasons: tuple[str, ...]
    boxes: tuple[np.ndarray, ...]
    names: tuple[str, ...]


class RegionPreview(Closing, widgets.VBox):
    """Images with boxes, a page at a time; only the images on show are read.

    Parameters
    ----------
    data, proposer : what to show; without them it is empty until :meth:`show`

    Attributes
    ----------
    page : what is on show, or None
    """

    _lets_go = ("page", "_shown", "_job")

    def __init__(self, data: ImageTextDataset | None = None, proposer: Proposer | None = None) -> None:
        self.page: Page | None = None
        self._shown: tuple[ImageTextDataset, Proposer] | None = None
        self._number, self._job = 0, None
        self._swap = threading.RLock()  # of what was asked for last, and of what is on show
        self.message = Message()
        self._images = widgets.HTML(layout=widgets.Layout(width="100%", margin="6px 0 0 0"))
        self._back = arrow("chevron-left", "Earlier images", self.message.told(lambda _: self.turn(-1)))
        self._next = arrow("chevron-right", "More images", self.message.told(lambda _: self.turn(1)))
        top = widgets.HBox([self._back, self._next, self.message], layout=widgets.Layout(align_items="center"))
        super().__init__([top, self._images], layout=widgets.Layout(width="100%"))
        self.message.say("The boxes of the picked regions are shown here, on a few images.")
        if data is not None and proposer is not None:
            self.show(data, proposer)

    def show(self, data: ImageTextDataset, proposer: Proposer) -> Job:
        """Show the first page, in a thread."""
        self._shown, self._number = (data, proposer), 0
        return self._start()

    def fail(self, error: BaseException) -> None:
        """Show why there is nothing to see."""
        with self._swap:
            self._shown, self._job, self.page, self._images.value = None, None, None, ""
            self._back.disabled = self._next.disabled = True
            self.message.fail(error)

    def turn(self, by: int) -> Job | None:
        """Show a later or an earlier page."""
        if self._shown is None:
            return None
        self._number = min(max(0, self._number + by), n_pages(len(self._shown[0]), MOST_IMAGES) - 1)
        return self._start()

    def _start(self) -> Job:
        assert self._shown is not None
        (data, proposer), number = self._shown, self._number

        def work(progress: Progress) -> tuple[Page, str]:
            page = read_page(data, proposer, number, progress)
            return page, _drawn(page)

        with self._swap:
            if self._job is not None:
                self._job.cancel()
            self.message.say("Looking …")
            self._job = job = Job(work, on_end=self.message.told(self._on_end))
        return job.start()

    def _on_end(self, job: Job) -> None:
        with self._swap:
            if job is not self._job or self._shown is None or job.cancelled:
                return  # something else was asked for meanwhile
            self._back.disabled = self._number == 0
            self._next.disabled = self._number >= n_pages(len(self._shown[0]), MOST_IMAGES) - 1
            if job.error is not None:
                self.page, self._images.value = None, ""
                self.message.fail(job.error)
            else:
                page, self._images.value = job.result
                self.page = page
                self.message.say(_summary(page, self._number, len(self._shown[0])))


def read_page(data: ImageTextDataset, proposer: Proposer, number: int, progress: Progress | None = None) -> Page:
    """Read a page's images, which are spread evenly over the dataset, and propose their boxes.

    Raises
    ------
    RavlError
        Whatever the proposer raises.
    """
    index = tuple(page_of(number, len(data), MOST_IMAGES))
    pixels: list[np.ndarray | None] = []
    reasons: list[str] = []
    for image in index:
        report(progress, len(pixels), len(index), "Reading images")
        try:
            pixels.append(checked_image(data, image))
            reasons.append("")
        except DataError as error:
            pixels.append(None)
            reasons.append(str(error))
    boxes = _boxes(data, proposer, index, pixels, progress)
    return Page(index, tuple(pixels), tuple(reasons), boxes, tuple(_name_of(data, image) for image in index))


def _name_of(data: ImageTextDataset, image: int) -> str:
    """The file's name, where there is one; else the number."""
    where = data.where(image) if hasattr(data, "where") else ""  # type: ignore[attr-defined]
    path = PurePath(where)
    return one_line(path.name) if path.is_absolute() or path.suffix else f"image {image:,}"


def _boxes(
    data: ImageTextDataset,
    proposer: Proposer,
    index: tuple[int, ...],
    pixels: list[np.ndarray | None],
    progress: Progress | None,
) -> tuple[np.ndarray, ...]:
    regions: Regions | None
    if isinstance(proposer, Given):  # has them already, and would check those of images that are not on show
        regions = proposer.regions if proposer.regions is not None else data.regions
        if regions is None:
            regions = proposer(data)  # raises, and says why
    else:
        regions = propose(proposer, _Few(dict(zip(index, pixels, strict=True))), progress)
    return tuple(regions.boxes[regions.rows(image)] for image in index)


class _Few:
    """What a proposer sees: every image up to the last one on show, all others tiny and unreadable.

    So an image keeps its place, on which random boxes depend, and none is read in vain.
    """

    def __init__(self, pixels: dict[int, np.ndarray | None]) -> None:
        self._pixels = pixels
        self.image_sizes = np.ones((max(pixels) + 1, 2), np.int64)
        for index, image in pixels.items():
            if image is not None:
                self.image_sizes[index] = image.shape[1], image.shape[0]

    def __len__(self) -> int:
        return len(self.image_sizes)

    def image(self, index: int) -> np.ndarray:
        image = self._pixels.get(index)
        if image is None:
            raise DataError("an image on show", f"image {index}", "Turn the page.")
        return image


def _summary(page: Page, number: int, n_images: int) -> str:
    counts = [len(boxes) for boxes, pixels in zip(page.boxes, page.pixels, strict=True) if pixels is not None]
    if not counts:
        return "None of these images can be read."
    low, high = min(counts), max(counts)
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{each} box{'es' * (high != 1)} per image. {place(number, n_images, MOST_IMAGES)}"


def _drawn(page: Page) -> str:
    figures = []
    for name, pixels, reason, boxes in zip(page.names, page.pixels, page.reasons, page.boxes, strict=True):
        if pixels is None:
            figures.append(f"<figure><p>{html.escape(reason)}</p></figure>")
            continue
        height, width = pixels.shape[:2]
        rects = "".join(
            f'<rect class="{kind}" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" '
            f'style="--box:{COLORS[i % len(COLORS)]}"/>'
            for kind in ("edge", "line", "box")  # white, black, colour: one of them shows on any image
            for i, (x1, y1, x2, y2) in _small_ones_last(boxes)
        )
        source = base64.b64encode(png(Image.fromarray(pixels), STORED)).decode()
        said = html.escape(f"{name} · {len(boxes):,} box{'es' * (len(boxes) != 1)}")
        figures.append(
            f'<figure><svg class="{"smooth" * (height > HEIGHT)}" viewBox="0 0 {width} {height}" height="{HEIGHT}" '
            f'role="img" aria-label="{said}"><image href="data:image/png;base64,{source}" width="{width}" '
            f'height="{height}" preserveAspectRatio="none"/><g>{rects}</g></svg>'
            f"<figcaption>{said}</figcaption></figure>"
        )
    return f'{STYLE}<div class="ravl-preview">{"".join(figures)}</div>'


def _small_ones_last(boxes: np.ndarray) -> list[Any]:
    """(number, box), large boxes first, so that each can be pointed at."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return [(int(i), boxes[i]) for i in np.argsort(-area, kind="stable")]
