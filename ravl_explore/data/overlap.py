"""shared_images(): how many images of one dataset are also in another, whatever either calls itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.data.subset import Subset


def shared_images(data: ImageTextDataset, other: ImageTextDataset) -> int:
    """Images of ``data`` that are in ``other``, too: both are, or are subsets of, one set of images.

    The same picture in two different sets is not found.

    Examples
    --------
    >>> from ravl_explore.data import Demo
    >>> val = Demo("val")
    >>> shared_images(Subset(val, [3, 4, 5]), Subset(Demo("val"), [5, 6])), shared_images(val, Demo("test"))
    (1, 0)
    """
    (whole, index), (other_whole, other_index) = _unwrapped(data), _unwrapped(other)
    if whole is not other_whole and whole.fingerprint() != other_whole.fingerprint():
        return 0
    return int(np.isin(index, other_index).sum())


def _unwrapped(data: ImageTextDataset) -> tuple[Any, np.ndarray]:
    """(dataset, index): the whole that images are taken from, and which they are."""
    whole: Any = data
    index = np.arange(len(data))
    while isinstance(whole, (Subset, Relabelled)):
        if isinstance(whole, Subset):
            index = whole.index[index]
        whole = whole.data
    return whole, index
