"""covered_pixels(): a box in whole pixels of its image, to cut it out or to draw on it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float


def covered_pixels(box: Float[np.ndarray, "4"], width: int, height: int) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches, within the image, at least one wide and high.

    Parameters
    ----------
    box : Float[np.ndarray, "4"]
        x1, y1, x2, y2 in pixels; it may leave the image, as :meth:`Regions.check_inside` lets it by a pixel.
    width, height : int
        Of the image, in pixels.

    Returns
    -------
    tuple of int
        x1, y1, x2, y2: columns x1 to x2 - 1 and rows y1 to y2 - 1.

    Examples
    --------
    >>> covered_pixels(np.array([1.5, 0, 3.1, 9]), 8, 6)
    (1, 0, 4, 6)
    """
    x1, y1, x2, y2 = (float(corner) for corner in box)
    left, top = min(max(0, int(x1)), width - 1), min(max(0, int(y1)), height - 1)
    right, bottom = min(width, math.ceil(x2)), min(height, math.ceil(y2))
    return left, top, max(right, left + 1), max(bottom, top + 1)
