"""ConceptMasks: for each image of a dataset, where a model shall look and where not; and what a source must offer.

To add a source, write one file with a frozen dataclass that has a ``name``, ``uses_regions`` and
``open(data, shown) -> ConceptMasks``, and add its class to ``__all__`` of :mod:`ravl_explore.concepts`; the explorer's
menu reads that list. A class method ``menu()`` (label -> arguments) or a class attribute ``form`` (see
:mod:`ravl_explore.support.fields`) puts it there.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Bool

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.regions.base import Regions
from ravl_explore.support.progress import Progress, report

Mask = Bool[np.ndarray, "h w"]


class ConceptMasks(Protocol):
    """Two masks for each image of one dataset.

    Attributes
    ----------
    name : where the masks are from, for menus and run folders
    notes : what was departed from (masks resized, images without one), as sentences for the user; may grow as masks are
        read
    """

    @property
    def name(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def __len__(self) -> int:
        """How many images they are of."""
        ...

    def __call__(self, index: int) -> tuple[Mask, Mask]:
        """(promote, suppress) of one image, in pixels of the stored image; a pixel may be in neither, not in both.

        Both are empty for an image of which nothing is known.
        """
        ...

    def fingerprint(self) -> str:
        """One name for all masks, so that a resumed run is sure to go on with the same."""
        ...


class Shown(Protocol):
    """What the regions of a dataset show; :class:`ravl_explore.assignment.assignment.Assignment` does."""

    @property
    def regions(self) -> Regions: ...

    @property
    def spurious(self) -> Bool[np.ndarray, " n_regions"]: ...

    @property
    def core(self) -> Bool[np.ndarray, " n_regions"]: ...


class ConceptSource(Protocol):
    """Where concept masks come from."""

    @property
    def name(self) -> str:
        """Short name for menus and run folders."""
        ...

    @property
    def uses_regions(self) -> bool:
        """Whether ``open`` needs ``shown``."""
        ...

    def open(self, data: ImageTextDataset, shown: Shown | None = None) -> ConceptMasks:
        """The masks of ``data``, made or read when asked for; ``shown`` says what its regions show."""
        ...


def read_all(masks: ConceptMasks, progress: Progress | None = None) -> ConceptMasks:
    """Ask for every mask once and give ``masks`` back: what is wrong with one is told before training starts.

    Raises
    ------
    RavlError
        Whatever reading a mask raises.
    """
    report(progress, 0, len(masks), "Making concept masks")
    for index in range(len(masks)):
        masks(index)
        report(progress, index + 1, len(masks), "Making concept masks")
    return masks


def nothing(height: int, width: int) -> tuple[Mask, Mask]:
    """The masks of an image of which nothing is known."""
    return np.zeros((height, width), bool), np.zeros((height, width), bool)


def count_of(n: int, one: str, several: str) -> str:
    """A sentence's start.

    >>> count_of(1, "image has", "images have"), count_of(1200, "image has", "images have")
    ('1 image has', '1,200 images have')
    """
    return f"1 {one}" if n == 1 else f"{n:,} {several}"
