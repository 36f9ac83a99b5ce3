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
    name : str
        Where the masks are from, for menus and run folders.
    notes : tuple of str
        What was departed from (masks resized, images without one), as sentences for the user; may grow as masks are
        read.
    """

    @property
    def name(self) -> str:
        """Short name for menus and run folders."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was departed from so far."""
        ...

    def __len__(self) -> int:
        """How many images they are of."""
        ...

    def __call__(self, index: int) -> tuple[Mask, Mask]:
        """(promote, suppress) of one image, in pixels of the stored image; a pixel may be in neither, not in both.

        Both are empty for an image of which nothing is known.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        ...

    def fingerprint(self) -> str:
        """One name for all masks, so that a resumed run is sure to go on with the same."""
        ...


class Shown(Protocol):
    """What the regions of a dataset show; :class:`ravl_explore.assignment.assignment.Assignment` does."""

    @property
    def regions(self) -> Regions:
        """Boxes of the images."""
        ...

    @property
    def spurious(self) -> Bool[np.ndarray, " n_regions"]:
        """Whether a region shows the spurious feature."""
        ...

    @property
    def core(self) -> Bool[np.ndarray, " n_regions"]:
        """Whether a region shows its image's class."""
        ...


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
        """The masks of ``data``, made or read when asked for; ``shown`` says what its regions show.

        Parameters
        ----------
        data : ImageTextDataset
            Whose images the masks are of.
        shown : Shown or None
            What its regions show; only sources that use regions need it.
        """
        ...


def read_all(masks: ConceptMasks, progress: Progress | None = None) -> ConceptMasks:
    """Ask for every mask once and give ``masks`` back: what is wrong with one is told before training starts.

    Parameters
    ----------
    masks : ConceptMasks
    progress : Progress or None
        Told the masks that were made.

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
    """The masks of an image of which nothing is known.

    Parameters
    ----------
    height : int
        In pixels.
    width : int
        In pixels.
    """
    return np.zeros((height, width), bool), np.zeros((height, width), bool)


def count_of(n: int, one: str, several: str) -> str:
    """A sentence's start.

    Parameters
    ----------
    n : int
        How many.
    one : str
        What one is called, with its verb.
    several : str
        What several are called, with their verb.

    Examples
    --------
    >>> count_of(1, "image has", "images have"), count_of(1200, "image has", "images have")
    ('1 image has', '1,200 images have')
    """
    return f"1 {one}" if n == 1 else f"{n:,} {several}"
