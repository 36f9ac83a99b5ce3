"""One page of boxes: what a proposer finds on a few images of a dataset, read, drawn and summed up."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from jaxtyping import Float32

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import place_of
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.regions.given import Given
from ravl_explore.regions.proposing import propose
from ravl_explore.support.progress import Progress, report
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.pages import page_of, place
from ravl_explore.widgets.basics.pictures import HEIGHT, Pixels, data_url, lost, read_image

MOST_IMAGES = 10_000  # that can be turned to; a proposer is asked for the boxes of all images up to the last one shown
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


Boxes = Float32[np.ndarray, "n 4"]


@dataclass(frozen=True, eq=False)
class RegionPage:
    """A few images with their boxes.

    Attributes
    ----------
    index : tuple of int
        Which images of the dataset these are.
    pixels : tuple of uint8 arrays (height, width, 3) or None
        None for an image that cannot be read.
    reasons : tuple of str
        Why it cannot be read; empty for one that can.
    boxes : tuple of float32 arrays (n, 4)
        x1, y1, x2, y2 in pixels of the stored image.
    names : tuple of str
        File names, or numbers where there are none.
    """

    index: tuple[int, ...]
    pixels: tuple[Pixels | None, ...]
    reasons: tuple[str, ...]
    boxes: tuple[Boxes, ...]
    names: tuple[str, ...]


def read_page(data: ImageTextDataset, proposer: Proposer, number: int, progress: Progress | None = None) -> RegionPage:
    """Read a page's images, which are spread evenly over the dataset, and propose their boxes.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images are shown.
    proposer : Proposer
        Whose boxes; it sees the images on show and no others.
    number : int
        Of the page, from 0.
    progress : Progress, optional
        Told how many images were read.

    Raises
    ------
    RavlError
        Whatever the proposer raises.
    """
    index = tuple(page_of(number, len(data), MOST_IMAGES))
    read: list[tuple[Pixels | None, str]] = []
    for image in index:
        report(progress, len(read), len(index), "Reading images")
        read.append(read_image(data, image))
    pixels, reasons = zip(*read, strict=True)
    boxes = _boxes(data, proposer, index, pixels, progress)
    return RegionPage(index, pixels, reasons, boxes, tuple(_name_of(data, image) for image in index))


def _name_of(data: ImageTextDataset, image: int) -> str:
    """The file's name, where there is one; else the number."""
    path = PurePath(place_of(data, image))
    return one_line(path.name) if path.is_absolute() or path.suffix else f"image {image:,}"


def _boxes(
    data: ImageTextDataset,
    proposer: Proposer,
    index: tuple[int, ...],
    pixels: tuple[Pixels | None, ...],
    progress: Progress | None,
) -> tuple[Boxes, ...]:
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

    def __init__(self, pixels: dict[int, Pixels | None]) -> None:
        self._pixels = pixels
        self.image_sizes = np.ones((max(pixels) + 1, 2), np.int64)
        for index, image in pixels.items():
            if image is not None:
                self.image_sizes[index] = image.shape[1], image.shape[0]

    def __len__(self) -> int:
        return len(self.image_sizes)

    def image(self, index: int) -> Pixels:
        image = self._pixels.get(index)
        if image is None:
            raise DataError("an image on show", f"image {index}", "Turn the page.")
        return image


def summary(page: RegionPage, number: int, n_images: int) -> str:
    """How many boxes the images of page ``number`` have, and which images of ``n_images`` these are."""
    counts = [len(boxes) for boxes, pixels in zip(page.boxes, page.pixels, strict=True) if pixels is not None]
    if not counts:
        return "None of these images can be read."
    low, high = min(counts), max(counts)
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{each} box{'es' * (high != 1)} per image. {place(number, n_images, MOST_IMAGES)}"


def drawn(page: RegionPage) -> str:
    """HTML of the images, each box in a colour of its own, large ones behind small ones."""
    figures = []
    for name, pixels, reason, boxes in zip(page.names, page.pixels, page.reasons, page.boxes, strict=True):
        if pixels is None:
            figures.append(lost(reason))
            continue
        height, width = pixels.shape[:2]
        rects = "".join(
            f'<rect class="{kind}" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" '
            f'style="--box:{COLORS[i % len(COLORS)]}"/>'
            for kind in ("edge", "line", "box")  # white, black, colour: one of them shows on any image
            for i, (x1, y1, x2, y2) in _small_ones_last(boxes)
        )
        said = html.escape(f"{name} · {len(boxes):,} box{'es' * (len(boxes) != 1)}")
        figures.append(
            f'<figure><svg class="{"smooth" * (height > HEIGHT)}" viewBox="0 0 {width} {height}" height="{HEIGHT}" '
            f'role="img" aria-label="{said}"><image href="{data_url(pixels)}" width="{width}" '
            f'height="{height}" preserveAspectRatio="none"/><g>{rects}</g></svg>'
            f"<figcaption>{said}</figcaption></figure>"
        )
    return f'{STYLE}<div class="ravl-preview">{"".join(figures)}</div>'


def _small_ones_last(boxes: Boxes) -> Iterator[tuple[int, list[float]]]:
    """Number and box, large boxes first, so that each can be pointed at."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in np.argsort(-area, kind="stable").tolist():
        yield i, boxes[i].tolist()
