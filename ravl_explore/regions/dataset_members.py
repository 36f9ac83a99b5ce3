"""What a proposer needs of a dataset, and what it may find there beyond that.

The rest of what a dataset may offer is in ``data/optional_members.py``.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8

from ravl_explore.regions.base import Regions


@runtime_checkable
class HasImageSizes(Protocol):
    """The little that most proposers need of a dataset."""

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Width and height of every stored image, in pixels."""
        ...


class HasImages(HasImageSizes, Protocol):
    """What a proposer needs that looks at the pixels."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB; DataError for one that cannot be read.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        ...


def own_regions(data: HasImageSizes) -> Regions | None:
    """The boxes that come with a dataset, its ``regions``; None where none do.

    Parameters
    ----------
    data : HasImageSizes
        The dataset.
    """
    return getattr(data, "regions", None)


def known_name(data: HasImageSizes) -> str:
    """One name for a dataset's images, its ``fingerprint()``; empty where it has none.

    Parameters
    ----------
    data : HasImageSizes
        The dataset.
    """
    told = getattr(data, "fingerprint", None)
    return "" if told is None else str(told())
