"""Relevance maps of one model or two over their images, and how well they agree with masks, as HTML and in words."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.metrics import Alignment
from ravl_explore.plots.relevance import CIVIDIS, overlay
from ravl_explore.regions.covered_pixels import covered_pixels
from ravl_explore.relevance import RelevanceMaps
from ravl_explore.support.text import one_line
from ravl_explore.widgets.basics.pictures import HEIGHT, STORED, Pixels, enlarged, figure

STYLE = f"""<style>
.ravl-relevance {{ color: var(--jp-ui-font-color1, #222); font-size: 12px; line-height: 1.5; }}
.ravl-relevance .row {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 12px 0; }}
.ravl-relevance figure {{ margin: 0; width: min-content; min-width: 150px; }}
.ravl-relevance figcaption {{ white-space: normal; overflow-wrap: anywhere; }}
.ravl-relevance img {{ height: {HEIGHT}px; max-width: none; display: block; image-rendering: pixelated; }}
.ravl-relevance img.smooth {{ image-rendering: auto; }}
.ravl-relevance .key {{ display: flex; align-items: center; gap: 8px; margin: 0 0 8px 0; }}
.ravl-relevance .bar {{ width: 120px; height: 10px; background: linear-gradient(to right, {
    ", ".join(f"rgb{tuple(int(c) for c in color)}" for color in CIVIDIS)
}); }}
.ravl-relevance table {{ border-collapse: collapse; margin: 0 0 8px 0; }}
.ravl-relevance td, .ravl-relevance th {{ padding: 2px 12px 2px 0; text-align: right; font-weight: normal; }}
.ravl-relevance th {{ color: var(--jp-ui-font-color2, #666); }}
.ravl-relevance td:first-child, .ravl-relevance th:first-child {{ text-align: left; overflow-wrap: anywhere; }}
</style>"""


def drawn(data: ImageTextDataset, maps: Sequence[RelevanceMaps]) -> str:
    """HTML of what was looked at, a row an image: the image, then its map by each model.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images these are.
    maps : sequence of RelevanceMaps
        Of the same images: before and, if there are two, after fine-tuning.
    """
    rows = []
    first = maps[0]
    for row, image in enumerate(first.images.tolist()):
        pixels = checked_image(data, image)
        if first.boxes is not None:
            x1, y1, x2, y2 = covered_pixels(first.boxes[row], pixels.shape[1], pixels.shape[0])
            pixels = pixels[y1:y2, x1:x2]
        small = _fitted(pixels)
        css = "smooth" if pixels.shape[0] > HEIGHT else ""
        names = [one_line(name) for name in first.class_names]
        figures = [figure(small, f"image {image:,} · {names[first.labels[row]]}", css)]
        for title, each in zip(("before", "after"), maps, strict=False):
            best = each.predictions[row]
            said = f"{title} · for {names[each.shown[row]]} · says {names[best]} ({each.scores[row, best]:.2f})"
            said += "" if np.ptp(each.maps[row]) > 0 else " · no cell counts more than another"
            figures.append(figure(overlay(small, each.maps[row]), said, css))
        rows.append(f'<div class="row">{"".join(figures)}</div>')
    key = '<div class="key"><span>least</span><span class="bar"></span><span>most relevant</span></div>'
    return f'{STYLE}<div class="ravl-relevance">{key if rows else ""}{"".join(rows)}</div>'


def described(maps: RelevanceMaps, n_asked: int) -> str:
    """What is on show, as a sentence; ``n_asked`` is how many images were asked for."""
    n = len(maps.images)
    cut = f" The first {n} of {n_asked:,} are shown." if n_asked > n else ""
    what = f"{n} {'image' if maps.boxes is None else 'crop'}{'s' * (n != 1)}"
    rows, columns = maps.maps.shape[1:]
    return (
        f"Relevance of {what} of {maps.data_name}, {rows} by {columns} cells. Each map has its own scale, "
        f"from its least to its most: compare where, not how much.{cut}"
    )


def table(names: Sequence[str], alignments: Sequence[Alignment]) -> str:
    """HTML of the alignments, a row a model; ``names`` are those of the models."""
    head = "".join(f"<th>{title}</th>" for title in ("", "mIoU", "pixel accuracy", "relevance on promoted"))
    rows = []
    for title, name, each in zip(("Before", "After"), names, alignments, strict=False):
        values = (each.miou, each.pixel_accuracy, each.share)
        cells = "".join(f"<td>{'' if np.isnan(value) else f'{100 * value:.1f}%'}</td>" for value in values)
        rows.append(f"<tr><td>{title}: {html.escape(one_line(name))}</td>{cells}</tr>")
    return f'{STYLE}<div class="ravl-relevance"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def measured(against: str, n_images: int) -> str:
    """What was measured, as a sentence: masks of which name, and over how many images."""
    if not n_images:
        return "None of the measured images has both something to promote and something to suppress."
    return f"Alignment with {against} over the {n_images:,} images with something to promote and to suppress."


def _fitted(pixels: Pixels) -> Pixels:
    """No side longer than what is sent, and none much shorter: cells of a map must be seen on tiny images too."""
    if max(pixels.shape[:2]) <= STORED:
        return enlarged(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((STORED, STORED))
    return np.asarray(image)
