"""Images of a dataset as small pictures in a page: their bytes, their names, and the figures that show them."""

from __future__ import annotations

import base64
import html
import io
from pathlib import PurePath

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.data.optional_members import place_of
from ravl_explore.errors import DataError

HEIGHT = 150  # pixels of the screen
STORED = 2 * HEIGHT  # pixels sent per image: sharp on a screen of two pixels a pixel

Pixels = UInt8[np.ndarray, "height width 3"]


def png(image: Image.Image, size: int) -> bytes:
    """PNG bytes, no side longer than ``size`` pixels."""
    if max(image.size) > size:
        image.thumbnail((size, size))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def data_url(pixels: Pixels) -> str:
    """The image as a PNG in a URL, no side longer than what is sent."""
    return f"data:image/png;base64,{base64.b64encode(png(Image.fromarray(pixels), STORED)).decode()}"


def enlarged(values: Shaped[np.ndarray, "height width *channels"]) -> Shaped[np.ndarray, "h w *channels"]:
    """An image or a mask that is smaller than what is sent, each pixel repeated to a square as often as there is room.

    >>> enlarged(np.ones((100, 70), bool)).shape
    (300, 210)
    """
    times = max(1, STORED // max(values.shape[:2]))
    return np.repeat(np.repeat(values, times, 0), times, 1)


def figure(pixels: Pixels, said: str, css: str = "") -> str:
    """HTML of an image over its caption, which is also what a screen reader says; ``said`` is plain text."""
    said = html.escape(said)
    return f'<figure><img class="{css}" src="{data_url(pixels)}" alt="{said}"><figcaption>{said}</figcaption></figure>'


def lost(reason: str) -> str:
    """HTML in the place of an image that cannot be read; ``reason`` is plain text."""
    return f"<figure><p>{html.escape(reason)}</p></figure>"


def read_image(data: ImageTextDataset, image: int) -> tuple[Pixels | None, str]:
    """An image's pixels, or None and why it cannot be read."""
    try:
        return checked_image(data, image), ""
    except DataError as error:
        return None, str(error)


def image_name(data: ImageTextDataset, image: int) -> str:
    """An image's file with its folder, where there is one; the whole path is too long for a line."""
    where = place_of(data, image)
    parts = PurePath(where).parts
    return str(PurePath(*parts[-2:])) if len(parts) > 1 else f"{data.name}, {where or f'image {image}'}"
