"""Subset: some images of a dataset, with all that is known of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.checked_images import checked_sizes
from ravl_explore.data.optional_members import content_fingerprint, notes_of, unreadable_headers, where
from ravl_explore.data.views import View, unwrapped
from ravl_explore.errors import InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support.checks import came
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress


class Subset(View):
    """The images ``index`` of ``data``, in that order; labels, captions and boxes follow.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images they are.
    index : sequence of int, or Int[np.ndarray, " n_images"], or Bool[np.ndarray, " len_data"]
        Numbers of images in ``data``, or whether each is one of these.
    name : str or None
        The dataset's own unless given.

    Raises
    ------
    InputError
        When ``index`` numbers no images of ``data``.
    DataError
        When no image is left.

    Examples
    --------
    >>> from ravl_explore.data import Demo
    >>> data = Subset(Demo("val"), [3, 1])
    >>> len(data), data.regions.image_index.tolist()
    (2, [0, 0, 0, 0, 1, 1, 1, 1])
    """

    def __init__(self, data: ImageTextDataset, index: Sequence[int] | np.ndarray, name: str | None = None) -> None:
        check_dataset(data)
        self.data = data
        self.index: Int[np.ndarray, " n_images"] = _rows(index, len(data))
        self.name = data.name if name is None else name
        self.class_names: tuple[str, ...] = data.class_names
        self.templates: tuple[str, ...] = data.templates
        self.labels: Int[np.ndarray, " n_images"] = data.labels[self.index]
        captions = data.captions
        self.captions: tuple[str, ...] | None = (
            None if captions is None else tuple(captions[i] for i in self.index.tolist())
        )
        self.feature_name: str | None = data.feature_name
        self.feature_present: Bool[np.ndarray, " n_images"] | None = (
            None if data.feature_present is None else data.feature_present[self.index]
        )
        self.regions: Regions | None = None
        self.region_labels: Int[np.ndarray, " n_regions"] | None = data.region_labels
        self.region_feature: Bool[np.ndarray, " n_regions"] | None = data.region_feature
        if data.regions is not None:
            rows, image_index = data.regions.rows_of(self.index)
            self.regions = Regions(data.regions.boxes[rows], image_index)
            self.region_labels = None if self.region_labels is None else self.region_labels[rows]
            self.region_feature = None if self.region_feature is None else self.region_feature[rows]
        check_dataset(self)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the whole dataset, which may have more to say once its headers were read."""
        return notes_of(self.data)

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Of these images alone: files that cannot be read elsewhere in the dataset are no matter."""
        return self.sizes_of(np.arange(len(self)))

    def sizes_of(self, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
        """Width and height of some of these images.

        Parameters
        ----------
        index : Int[np.ndarray, " n"]
            Their numbers in this subset.
        """
        return checked_sizes(self.data, self.index[index])

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB.

        Parameters
        ----------
        index : int
            The image's number in this subset.
        """
        return self.data.image(int(self.index[index]))

    def where(self, index: int) -> str:
        """The path of one image, or its number where the dataset has no files.

        Parameters
        ----------
        index : int
            The image's number in this subset.
        """
        return where(self.data, int(self.index[index]))

    def unreadable(self, progress: Progress | None = None) -> dict[int, str]:
        """Index -> reason of these images whose header cannot be read.

        Parameters
        ----------
        progress : Progress or None
            Told the headers that were read.
        """
        bad = unreadable_headers(self.data, progress)
        return {place: bad[row] for place, row in enumerate(self.index.tolist()) if row in bad} if bad else {}

    def fingerprint(self) -> str:
        """Of the whole dataset's images and which of them these are; all of them, in order, are the dataset itself."""
        data, index = unwrapped(self, Subset)
        if np.array_equal(index, np.arange(len(data))):
            return data.fingerprint()
        return digest(["subset", data.fingerprint(), index])

    def content_fingerprint(self, index: Int[np.ndarray, " n"] | None = None, progress: Progress | None = None) -> str:
        """Of the content of these images, or of some.

        Parameters
        ----------
        index : Int[np.ndarray, " n"] or None
            Numbers of images in this subset; all unless given.
        progress : Progress or None
            Told the images that were read.
        """
        return content_fingerprint(self.data, self.index if index is None else self.index[index], progress)


def _rows(index: Sequence[int] | np.ndarray, n_images: int) -> np.ndarray:
    try:
        index = np.asarray(index)
    except ValueError as error:  # lists of different lengths in it
        raise InputError("image numbers in one row", came(index), "Give integers, or one flag per image.") from error
    if index.dtype == bool:
        if index.shape != (n_images,):
            raise InputError(f"one flag for each of {n_images} images", f"shape {index.shape}", "Give one per image.")
        return np.flatnonzero(index)
    if index.size == 0:
        return np.zeros(0, np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise InputError("image numbers in one row", came(index), "Give integers, or one flag per image.")
    index = index.astype(np.int64)
    if index.min() < 0 or index.max() >= n_images:
        raise InputError(
            f"image numbers from 0 to {n_images - 1}", f"{index.min()} to {index.max()}", "Use numbers of this dataset."
        )
    return index
