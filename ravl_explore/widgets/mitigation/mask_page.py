"""One page of concept masks: a few images with where to look and where not, read and drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.errors import InputError
from ravl_explore.plots.masks import PROMOTED, STRIPE, SUPPRESSED, tint
from ravl_explore.support.progress import Progress, report
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.pages import page_of
from ravl_explore.widgets.basics.pictures import HEIGHT, STORED, Pixels, enlarged, figure, image_name, lost, read_image

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
    f'{STYLE}<div class="ravl-masks-key"><span style="background:rgb{PROMOTED}"></span>promoted: look here'
    f'<span style="background:repeating-linear-gradient(45deg,rgb{SUPPRESSED} 0 3px,#000 3px 6px)"></span>'
    "suppressed: not here<span></span>neither</div>"
)

Mask = Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class MaskPage:
    """A few images with their masks.

    Attributes
    ----------
    index : tuple of int
        Which images of the dataset these are.
    names : tuple of str
        Files with their folders, or numbers where there are none.
    pixels : tuple of uint8 arrays (height, width, 3) or None
        None for an image that cannot be read.
    promote, suppress : tuple of bool arrays (height, width) or None
        Where to look, and where not.
    reasons : tuple of str
        Why it cannot be read; empty for one that can.
    notes : tuple of str
        What is to be known about the masks of the whole dataset.
    """

    index: tuple[int, ...]
    names: tuple[str, ...]
    pixels: tuple[Pixels | None, ...]
    promote: tuple[Mask | None, ...]
    suppress: tuple[Mask | None, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def read_page(data: ImageTextDataset, masks: ConceptMasks, number: int, progress: Progress | None = None) -> MaskPage:
    """Read a page's images, which are spread evenly over the dataset, and their masks.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images are shown.
    masks : ConceptMasks
        One mask an image of ``data``.
    number : int
        Of the page, from 0.
    progress : Progress, optional
        Told how many masks were made.

    Raises
    ------
    RavlError
        Whatever reading a mask raises; an image that cannot be read is only told.
    """
    if len(masks) != len(data):
        raise InputError(f"masks of these {len(data):,} images", f"of {len(masks):,}", "Open them for this dataset.")
    index = tuple(page_of(number, len(data)))
    rows: list[tuple[Pixels | None, Mask | None, Mask | None, str]] = []
    for image in index:
        report(progress, len(rows), len(index), "Making concept masks")
        pixels, reason = read_image(data, image)
        promote, suppress = (None, None) if pixels is None else masks(image)
        rows.append((pixels, promote, suppress, reason))
    names = tuple(one_line(image_name(data, image)) for image in index)
    shown, promoted, suppressed, reasons = zip(*rows, strict=True)
    return MaskPage(index, names, shown, promoted, suppressed, reasons, tuple(masks.notes))


def drawn(page: MaskPage) -> str:
    """HTML of the images under their tints."""
    figures = []
    for name, pixels, promote, suppress, reason in zip(
        page.names, page.pixels, page.promote, page.suppress, page.reasons, strict=True
    ):
        if pixels is None or promote is None or suppress is None:
            figures.append(lost(reason))
        else:
            said = f"{name} · {_covers(promote, 'promoted')}, {_covers(suppress, 'suppressed')}"
            figures.append(figure(_tinted(pixels, promote, suppress), said))
    return f'<div class="ravl-masks">{"".join(figures)}</div>'


def _tinted(pixels: Pixels, promote: Mask, suppress: Mask) -> Pixels:
    """The tint with stripes as wide on the screen whatever the image's size; finer than the pixels of a small one."""
    longest = max(pixels.shape[:2])
    if longest <= STORED:
        return tint(enlarged(pixels), enlarged(promote), enlarged(suppress))
    return tint(pixels, promote, suppress, stripe=max(1, STRIPE * longest // STORED))


def _covers(mask: Mask, what: str) -> str:
    return f"{mask.mean():.0%} {what}" if mask.any() else f"nothing {what}"
