"""Crops for the report: the region and its whole image as data URIs, small, with what the model said of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.data.optional_members import where
from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.errors import RavlError
from ravl_explore.metrics import top_region
from ravl_explore.regions.covered_pixels import covered_pixels
from ravl_explore.report.markup import escape

HEIGHT, WIDTH = 92, 138  # pixels of the page for a whole image; the crop gets HEIGHT x HEIGHT
SHARP = 2  # stored pixels a pixel of the page
TINY = 96  # images up to this many pixels a side are stored exactly, as PNG, and shown with square pixels
QUALITY = 80


def typical_regions(discovery: Discovery, feature: SpuriousFeature, most: int) -> list[int]:
    """The regions most similar to the medoid, first one of each image, then, if images are few, more of the same."""
    images = discovery.scores.embeddings.regions.image_index[feature.region_index]
    _, first = np.unique(images, return_index=True)
    rest = np.setdiff1d(np.arange(len(images)), first)
    order = np.concatenate([np.sort(first), rest])[:most]
    return feature.region_index[order].tolist()


def misleading_regions(discovery: Discovery) -> np.ndarray:
    """(n_errors,) For each image in error, the region that speaks most for the wrong class; the strongest first."""
    scores = discovery.scores
    image_index = scores.embeddings.regions.image_index
    top = top_region(scores.region, scores.predictions, image_index)
    regions = top[(~scores.correct) & (top >= 0)]
    strength = scores.region[regions, scores.predictions[image_index[regions]]]
    return regions[np.argsort(-strength, kind="stable")]


def gallery(discovery: Discovery, data: ImageTextDataset, regions: Iterable[int]) -> str:
    """A list of figures, one a region; an image that cannot be read says why in its place."""
    return f'<ul class="crops">{"".join(f"<li>{_figure(discovery, data, each)}</li>" for each in regions)}</ul>'


def _figure(discovery: Discovery, data: ImageTextDataset, region: int) -> str:
    scores, embeddings = discovery.scores, discovery.scores.embeddings
    image = int(embeddings.regions.image_index[region])
    label, prediction = int(embeddings.labels[image]), int(scores.predictions[image])
    true, predicted = escape(embeddings.class_names[label], 28), escape(embeddings.class_names[prediction], 28)
    verdict = f"{true}, <b>taken for {predicted}</b>" if label != prediction else f"{true}, predicted right"
    name = where(data, image)
    file = f'<span class="file" title="{escape(name, 1000)}">{escape(_ending(name))}</span>'
    caption = f"<figcaption>{verdict}{file}</figcaption>"
    try:
        pixels = checked_image(data, image)
    except (RavlError, OSError) as error:
        return f'<figure><p class="lost">{escape(error, 300)}</p>{caption}</figure>'
    told = f"labelled {true}, predicted {predicted}"
    return f"<figure>{_pair(pixels, embeddings.regions.boxes[region], image, told)}{caption}</figure>"


def _pair(pixels: np.ndarray, box: np.ndarray, image: int, told: str) -> str:
    whole = Image.fromarray(pixels)
    x1, y1, x2, y2 = (float(value) for value in box)
    crop = whole.crop(covered_pixels(box, *whole.size))
    width, height = _fit(whole.size, WIDTH, HEIGHT)
    crop_width, crop_height = _fit(crop.size, HEIGHT, HEIGHT)
    place = [100 * x1 / whole.width, 100 * y1 / whole.height]
    size = [100 * (x2 - x1) / whole.width, 100 * (y2 - y1) / whole.height]
    css = ' class="tiny"' if max(whole.size) <= TINY else ""
    return (
        f'<span class="pair"><img{css} src="{_uri(crop, (crop_width, crop_height))}" width="{crop_width}" '
        f'height="{crop_height}" alt="Region of image {image}, {told}">'
        f'<span class="whole"><img{css} src="{_uri(whole, (width, height))}" width="{width}" height="{height}" '
        f'alt="The whole image {image}"><span class="box" style="left:{place[0]:.1f}%;top:{place[1]:.1f}%;'
        f'width:{size[0]:.1f}%;height:{size[1]:.1f}%"></span></span></span>'
    )


def _fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The largest size of the same shape within width x height."""
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _uri(image: Image.Image, shown: tuple[int, int]) -> str:
    out = io.BytesIO()
    if max(image.size) <= TINY:
        image.save(out, "PNG")
        kind = "png"
    else:
        image.thumbnail((SHARP * shown[0], SHARP * shown[1]))
        image.save(out, "JPEG", quality=QUALITY)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def _ending(path: str, longest: int = 36) -> str:
    """The end of a path, which is what tells files apart."""
    return path if len(path) <= longest else "…" + path[-(longest - 1) :]
