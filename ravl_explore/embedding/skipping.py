"""Skipped: the images of a dataset that cannot be read, by their numbers in the dataset, up to a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from ravl_explore.data import optional_members
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.subset import Subset
from ravl_explore.errors import DataError
from ravl_explore.support.progress import Progress

MOST_NAMED = 3


@dataclass(frozen=True)
class Unreadable:
    """An image that was skipped.

    Attributes
    ----------
    index : int
        Its number in the whole dataset.
    where : str
        Its file, or what else it is called.
    reason : str
        Why it cannot be read.
    """

    index: int
    where: str
    reason: str


class Skipped:
    """What was skipped of one dataset, whenever it was met, and so which images are left.

    Parameters
    ----------
    n_images : int
        Of the dataset.
    most : int
        How many may be skipped.

    Examples
    --------
    >>> skipped = Skipped(n_images=4, most=2)
    >>> skipped.add([Unreadable(3, "d.png", "empty")])
    >>> skipped.add([Unreadable(1, "b.png", "cut short")])
    >>> [image.index for image in skipped.images], skipped.others().tolist()
    ([1, 3], [0, 2])
    """

    def __init__(self, n_images: int, most: int) -> None:
        self._n_images, self._most = n_images, most
        self._images: list[Unreadable] = []

    def add(self, images: Iterable[Unreadable]) -> None:
        """Skip these too.

        Raises
        ------
        DataError
            When that is one too many.
        """
        self._images += images
        if len(self._images) > self._most:
            raise self._too_many()

    @property
    def full(self) -> bool:
        """Whether no more may be skipped."""
        return len(self._images) >= self._most

    @property
    def images(self) -> tuple[Unreadable, ...]:
        """What was skipped, in the order of the dataset."""
        return tuple(sorted(self._images, key=lambda image: image.index))

    def others(self) -> Int64[np.ndarray, " n_left"]:
        """The numbers, in the dataset, of the images that were not skipped, in its order."""
        return _others(self._n_images, self._images)

    def _too_many(self) -> DataError:
        n = len(self._images)
        named = "; ".join(f"{image.where} ({image.reason})" for image in self._images[:MOST_NAMED])
        more = f" and {n - MOST_NAMED} more" if n > MOST_NAMED else ""
        return DataError(
            f"at most {self._most} images that cannot be read",
            f"{n} so far: {named}{more}",
            "Mend or remove these files, or raise max_unreadable.",
        )


def unreadable_headers(data: ImageTextDataset, progress: Progress | None) -> list[Unreadable]:
    """The files whose header cannot be read, of a dataset that can tell before any is opened."""
    headers = optional_members.unreadable_headers(data, progress)
    return [Unreadable(index, optional_members.where(data, index), headers[index]) for index in sorted(headers)]


def without(data: ImageTextDataset, skipped: Sequence[Unreadable]) -> ImageTextDataset:
    """The dataset without these of its images: itself where there are none."""
    return Subset(data, _others(len(data), skipped)) if skipped else data


def _others(n_images: int, skipped: Sequence[Unreadable]) -> Int64[np.ndarray, " n_left"]:
    return np.setdiff1d(np.arange(n_images), np.array([image.index for image in skipped], np.int64))
