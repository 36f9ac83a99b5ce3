"""shared_images(): how many images of one dataset are also in another, whatever either calls itself."""

from __future__ import annotations

import numpy as np

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.views import unwrapped


def shared_images(data: ImageTextDataset, other: ImageTextDataset) -> int:
    """Images of ``data`` that are in ``other``, too: both are, or are subsets of, one set of images.

    The same picture in two different sets is not found.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images are counted.
    other : ImageTextDataset
        Where they are looked for.

    Examples
    --------
    >>> from ravl_explore.data import Demo, Subset
    >>> val = Demo("val")
    >>> shared_images(Subset(val, [3, 4, 5]), Subset(Demo("val"), [5, 6])), shared_images(val, Demo("test"))
    (1, 0)
    """
    (whole, index), (other_whole, other_index) = unwrapped(data), unwrapped(other)
    if whole is not other_whole and whole.fingerprint() != other_whole.fingerprint():
        return 0
    return int(np.isin(index, other_index).sum())
