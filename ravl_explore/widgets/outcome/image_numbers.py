"""Image numbers and boxes as people type them, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from ravl_explore.errors import InputError


def parsed_images(text: str, n_images: int) -> Int64[np.ndarray, " n"]:
    """Image numbers of "0-5, 17", in that order.

    Raises
    ------
    InputError
        For what is no number or range, and for an image that is not there.

    Examples
    --------
    >>> parsed_images("0-2, 7", 10).tolist()
    [0, 1, 2, 7]
    """
    images: list[int] = []
    for part in text.replace(";", ",").split(","):
        low, dash, high = (number.strip() for number in part.strip().partition("-"))
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise InputError("image numbers such as 0-5, 17", repr(text), "Separate numbers and ranges by commas.")
        first, last = int(low), int(high) if dash else int(low)
        if not first <= last < n_images:
            raise InputError(f"images from 0 to {n_images - 1}", repr(part.strip()), "Pick some of these.")
        images += range(first, last + 1)
    return np.array(images, np.int64)


def parsed_box(text: str) -> Float64[np.ndarray, "4"] | None:
    """x1, y1, x2, y2 in pixels; None for nothing.

    Raises
    ------
    InputError
        For anything but four numbers.

    Examples
    --------
    >>> parsed_box("0, 0, 16.5, 8").tolist()
    [0.0, 0.0, 16.5, 8.0]
    """
    if not text.strip():
        return None
    try:
        box = np.array([float(number) for number in text.replace(";", ",").split(",")])
    except ValueError:
        box = np.zeros(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise InputError("four numbers x1, y1, x2, y2", repr(text), "Leave it empty for whole images.")
    return box


def spelled_images(images: Sequence[int]) -> str:
    """Image numbers as :func:`parsed_images` reads them, runs as ranges.

    >>> spelled_images([0, 1, 2, 7])
    '0-2, 7'
    """
    runs: list[list[int]] = []
    for image in images:
        if runs and image == runs[-1][-1] + 1:
            runs[-1].append(image)
        else:
            runs.append([image])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def spelled_box(boxes: np.ndarray | None) -> str:
    """The box that all of several are, as :func:`parsed_box` reads it; nothing where they differ or there are none.

    >>> spelled_box(np.array([[0, 0, 16.5, 8], [0, 0, 16.5, 8]])), spelled_box(np.array([[0, 0, 1, 1], [0, 0, 2, 2]]))
    ('0, 0, 16.5, 8', '')
    """
    if boxes is None or len(np.unique(boxes, axis=0)) != 1:
        return ""
    return ", ".join(f"{value:g}" for value in np.asarray(boxes)[0].tolist())
