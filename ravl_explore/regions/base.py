"""Regions: boxes in images, stored image after image; and what a proposer of regions must offer.

To add a proposer, write one file with a frozen dataclass that has a ``name`` and a ``__call__(data) -> Regions``,
and add its class to ``__all__`` of :mod:`ravl_explore.regions`; the explorer's menu reads that list. A class attribute
``form`` (see :mod:`ravl_explore.support.fields`) lets the menu ask for its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ravl_explore.errors import InputError
from ravl_explore.support import checks
from ravl_explore.support.checks import KINDS, came
from ravl_explore.support.progress import Progress


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes of all images of a dataset.

    Attributes
    ----------
    boxes : Float[np.ndarray, "n_regions 4"]
        x1, y1, x2, y2 in pixels of the stored image, kept as float32; x grows right, y grows down.
    image_index : Int[np.ndarray, " n_regions"]
        The image each box lies in, kept as int64; non-decreasing, so an image's regions are neighbours.

    Raises
    ------
    InputError
        For a wrong shape, NaN or infinite corners, an empty or reversed box, or an ``image_index`` that is unordered or
        no whole numbers.

    Examples
    --------
    >>> Regions(np.array([[0, 0, 28, 28]]), np.array([0])).count(n_images=2)
    array([1, 0])
    """

    boxes: Float[np.ndarray, "n_regions 4"]
    image_index: Int[np.ndarray, " n_regions"]

    def __post_init__(self) -> None:
        boxes = _numbers("boxes", self.boxes, "fiu").astype(np.float32, copy=False)
        if boxes.size == 0:
            boxes = boxes.reshape(0, 4)
        image_index = _numbers("image_index", self.image_index, "iu").astype(np.int64, copy=False)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise InputError("boxes of shape (n_regions, 4)", f"shape {boxes.shape}", "Give x1, y1, x2, y2 per box.")
        if image_index.shape != (len(boxes),):
            raise InputError(
                f"one image index for each of {len(boxes)} boxes", f"shape {image_index.shape}", "Give one per box."
            )
        _check_corners(boxes)
        if len(image_index) and (image_index[0] < 0 or (np.diff(image_index) < 0).any()):
            raise InputError(
                "image_index from 0 up and never falling", "another order", "Sort boxes by image, or use from_lists."
            )
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "image_index", image_index)

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def from_lists(cls, boxes_per_image: Sequence[ArrayLike]) -> Regions:
        """Build from each image's boxes, in the order of the images.

        Parameters
        ----------
        boxes_per_image : Sequence[ArrayLike]
            For each image (n, 4) numbers: x1, y1, x2, y2 in its pixels; an image may have none.
        """
        if not checks.is_list(boxes_per_image):
            raise InputError("a list of boxes for each image", came(boxes_per_image), "Write [[[x1, y1, x2, y2]], []].")
        arrays = [_numbers("boxes", boxes, "fiu").astype(np.float32, copy=False) for boxes in boxes_per_image]
        arrays = [array if array.size else np.zeros((0, 4), np.float32) for array in arrays]
        for image, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != 4:
                raise InputError(
                    "for each image, boxes of shape (n, 4)",
                    f"shape {array.shape} for image {image}",
                    "Give x1, y1, x2, y2 per box.",
                )
        counts = [len(array) for array in arrays]
        boxes = np.concatenate(arrays) if arrays else np.zeros((0, 4), np.float32)
        return cls(boxes, np.repeat(np.arange(len(arrays)), counts))

    def count(self, n_images: int) -> Int[np.ndarray, " n_images"]:
        """How many regions an image has, for each of ``n_images`` images.

        Parameters
        ----------
        n_images : int
            Of the dataset.
        """
        return np.bincount(self.image_index, minlength=n_images)

    def rows(self, image: int) -> slice:
        """Where the regions of one image stand.

        Parameters
        ----------
        image : int
            Its number.
        """
        start, stop = np.searchsorted(self.image_index, [image, image + 1])
        return slice(int(start), int(stop))

    def rows_of(
        self, images: Int[np.ndarray, " n_images"]
    ) -> tuple[Int[np.ndarray, " n_rows"], Int[np.ndarray, " n_rows"]]:
        """Where the regions of some images stand, image after image, and each one's place in ``images``.

        Parameters
        ----------
        images : Int[np.ndarray, " n_images"]
            Numbers of images, in any order; one that comes twice gives its regions twice.

        Returns
        -------
        rows, place : tuple of Int[np.ndarray, " n_rows"]

        Examples
        --------
        >>> regions = Regions.from_lists([[[0, 0, 1, 1]], [], [[0, 0, 2, 2], [0, 0, 3, 3]]])
        >>> rows, place = regions.rows_of(np.array([2, 1, 0]))
        >>> rows.tolist(), place.tolist()
        ([1, 2, 0], [0, 0, 2])
        """
        starts = np.searchsorted(self.image_index, images, side="left")
        counts = np.searchsorted(self.image_index, images, side="right") - starts
        place = np.repeat(np.arange(len(images)), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return starts[place] + within, place

    def of_images(self, images: Int[np.ndarray, " n_images"]) -> Regions:
        """The regions of some images, which are counted by their place in ``images`` from then on.

        Parameters
        ----------
        images : Int[np.ndarray, " n_images"]
            Numbers of images, in any order.
        """
        rows, place = self.rows_of(images)
        return Regions(self.boxes[rows], place)

    def check_images(self, n_images: int) -> None:
        """Raise InputError when the image of a box is not among ``n_images``.

        Parameters
        ----------
        n_images : int
            Of the dataset.
        """
        if len(self) and self.image_index[-1] >= n_images:
            raise InputError(
                f"image indices below {n_images}",
                f"{int(self.image_index[-1])}",
                "Use regions that were made for this dataset.",
            )

    def check_inside(self, image_sizes: Int[np.ndarray, "n_images 2"], tolerance: float = 1.0) -> None:
        """Raise InputError without a box, or when one's image is not there, or it leaves its image.

        Parameters
        ----------
        image_sizes : Int[np.ndarray, "n_images 2"]
            Width and height of each image, in pixels.
        tolerance : float
            By how many pixels a box may leave its image, as rounded ones do.
        """
        if len(self) == 0:
            raise InputError("at least one region", "none", "Pick a region proposer that finds boxes in these images.")
        self.check_images(len(image_sizes))
        sizes = np.asarray(image_sizes, dtype=np.float32)[self.image_index]
        outside = (self.boxes[:, :2] < -tolerance).any(1) | (self.boxes[:, 2:] > sizes + tolerance).any(1)
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            width, height = sizes[first].astype(int)
            raise InputError(
                "every box inside its image",
                f"{int(outside.sum())} outside; the first is region {first}, {_text(self.boxes[first])}, "
                f"in image {int(self.image_index[first])} of {width} x {height} pixels",
                "Give x1, y1, x2, y2 in pixels of the stored image (COCO's are x, y, width, height).",
            )


def _numbers(name: str, values: ArrayLike, kinds: str) -> np.ndarray:
    """As an array; NumPy would cut fractions off indices, and read texts as numbers."""
    try:
        found = np.asarray(values)
    except ValueError as error:  # lists of different lengths in it
        raise InputError(f"{name} as an array", f"lists in {came(values)}", "Give as many values a box.") from error
    if found.size and found.dtype.kind not in kinds:
        raise InputError(f"{name} as {KINDS[kinds]}", came(found), "Convert it first.")
    return found


def _check_corners(boxes: np.ndarray) -> None:
    bad = ~np.isfinite(boxes).all(1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError("finite box corners", f"region {first}: {_text(boxes[first])}", "Drop or mend these boxes.")
    bad = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            "boxes with x1 < x2 and y1 < y2",
            f"{int(bad.sum())} empty or reversed; the first is region {first}: {_text(boxes[first])}",
            "Give x1, y1, x2, y2 in pixels (COCO's are x, y, width, height).",
        )


def _text(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


class Proposer(Protocol):
    """Finds candidate regions in the images of a dataset.

    Most need only the images' sizes and are done at once. One that looks at the pixels is a :class:`PixelProposer`; one
    that takes long also offers ``fingerprint()``, what its boxes of given images depend on, and then they are kept.

    One that was made with the boxes of a dataset's images, so that it knows the images by their numbers, also offers
    ``of_images(images, n_images)``: the same for some of the dataset's ``n_images`` images, in that order.
    """

    @property
    def name(self) -> str:
        """Short name for menus."""
        ...

    def __call__(self, data: Any) -> Regions:
        """Boxes for every image of ``data``, in pixels of the stored images.

        Parameters
        ----------
        data : HasImageSizes, or whatever else of a dataset the proposer needs
            Whose images are looked at.
        """
        ...


class PixelProposer(Proposer, Protocol):
    """A proposer that looks at the pixels, by ``data.image(i)``, and so takes a while.

    It gives an image that cannot be read no box, since embedding the image will say what is wrong with it.

    Attributes
    ----------
    reads_pixels : bool
        True; usually of the class.
    """

    @property
    def reads_pixels(self) -> bool:
        """Always true."""
        ...

    def __call__(self, data: Any, progress: Progress | None = None) -> Regions:
        """Boxes for every image of ``data``, in pixels of the stored images.

        Parameters
        ----------
        data : HasImages, or whatever else of a dataset the proposer needs
            Whose images are looked at.
        progress : Progress or None
            Told the images done.
        """
        ...
