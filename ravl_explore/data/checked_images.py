"""checked_image(), checked_sizes(): what a dataset says of its images, once it is what a dataset promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import sizes_of, where
from ravl_explore.errors import DataError
from ravl_explore.support.checks import came, pixels


def checked_image(
    data: ImageTextDataset, index: int, size: Sequence[int] | np.ndarray | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of one image, once they are what a dataset promises; whatever reads pixels reads them here.

    Parameters
    ----------
    data : ImageTextDataset
        Whose image it is.
    index : int
        The image's number in ``data``.
    size : sequence of int, or Int[np.ndarray, "2"], or None
        Width and height by the dataset's ``image_sizes``, where they are known: boxes are in pixels of that size.

    Raises
    ------
    DataError
        For what is no (height, width, 3) array of uint8, or has another size; it names the image.
    """
    image = pixels(data.image(index), where(data, index))
    if size is not None and (image.shape[1], image.shape[0]) != (int(size[0]), int(size[1])):
        raise DataError(
            f"{where(data, index)} of {int(size[0])} x {int(size[1])} pixels, as image_sizes says",
            f"one of {image.shape[1]} x {image.shape[0]}",
            "Boxes are in pixels of that size: mend image_sizes (width, then height), or image().",
        )
    return image


def checked_sizes(data: ImageTextDataset, index: np.ndarray | None = None) -> Int[np.ndarray, "n 2"]:
    """Width and height of every image, or of some, once they are whole numbers of at least 1.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images they are.
    index : Int[np.ndarray, " n"] or None
        Numbers of images in ``data``; all unless given.

    Raises
    ------
    DataError
        For anything else, or when the dataset cannot tell.
    """
    sizes, n = (data.image_sizes, len(data)) if index is None else (sizes_of(data, index), len(index))
    if not isinstance(sizes, np.ndarray) or sizes.dtype.kind not in "iu" or sizes.shape != (n, 2) or (sizes < 1).any():
        raise DataError(
            f"image_sizes as integers of at least 1, of shape ({n}, 2)", came(sizes), "Give width and height per image."
        )
    return sizes
