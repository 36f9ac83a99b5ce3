"""ArrayDataset: labelled images that fit in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from numpy.typing import ArrayLike

from ravl_explore.data.base import CLIP_TEMPLATES, check_dataset
from ravl_explore.data.given_values import flags, integers, names
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.support.checks import came, pixels
from ravl_explore.support.fingerprints import digest

Images = Sequence[np.ndarray] | np.ndarray


class ArrayDataset:
    """Labelled images in memory.

    Parameters
    ----------
    images : UInt8[np.ndarray, "n_images height width 3"] or sequence of UInt8[np.ndarray, "height width 3"]
        RGB; in a list they may be of several sizes.
    labels : Int[np.ndarray, " n_images"] or sequence of int
        Indices into ``class_names``.
    class_names : sequence of str, or of int
        Numbers become texts.
    name : str
        What the dataset is called.
    templates : sequence of str
        Prompts, each with one ``{}`` for the class name.
    captions : sequence of str or None
        One for each image.
    regions : Regions or None
        Boxes in the images.
    feature_name : str or None
        What the annotated spurious feature is called.
    feature_present : Bool[np.ndarray, " n_images"] or sequence of bool, or None
        Whether an image holds that feature.
    region_labels : Int[np.ndarray, " n_regions"] or sequence of int, or None
        For ``regions``: the class that a region shows, -1 for none.
    region_feature : Bool[np.ndarray, " n_regions"] or sequence of bool, or None
        For ``regions``: whether a region holds that feature.

    Raises
    ------
    DataError
        When the dataset cannot be used.

    Examples
    --------
    >>> data = ArrayDataset(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], ["cat", "dog"])
    >>> len(data), data.image_sizes.tolist()
    (2, [[8, 8], [8, 8]])
    """

    def __init__(
        self,
        images: Images,
        labels: ArrayLike,
        class_names: Sequence[str] | Sequence[int],
        *,
        name: str = "arrays",
        templates: Sequence[str] = CLIP_TEMPLATES,
        captions: Sequence[str] | None = None,
        regions: Regions | None = None,
        feature_name: str | None = None,
        feature_present: ArrayLike | None = None,
        region_labels: ArrayLike | None = None,
        region_feature: ArrayLike | None = None,
    ) -> None:
        self._images = _images(images)
        self._fingerprint: str | None = None
        for index in {0, len(images) - 1} if len(images) else set():
            pixels(images[index], f"image {index}")
        self.name = name
        self.class_names = names("class_names", class_names, numbers=True)
        self.labels = integers("labels", labels)
        many = isinstance(templates, Sequence) and not isinstance(templates, str)
        self.templates: tuple[str, ...] = tuple(templates) if many else templates  # type: ignore[assignment]
        self.captions = None if captions is None else names("captions", captions)
        self.regions = regions
        self.feature_name = feature_name
        self.feature_present = None if feature_present is None else flags("feature_present", feature_present)
        self.region_labels = None if region_labels is None else integers("region_labels", region_labels)
        self.region_feature = None if region_feature is None else flags("region_feature", region_feature)
        check_dataset(self)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Width and height of every image, in pixels."""
        if isinstance(self._images, np.ndarray):
            return np.tile(np.array([self._images.shape[2], self._images.shape[1]]), (len(self._images), 1))
        shapes = [pixels(image, f"image {index}").shape for index, image in enumerate(self._images)]
        return np.array([(width, height) for height, width, _ in shapes], dtype=np.int64).reshape(-1, 2)

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        return pixels(self._images[index], f"image {index}")

    def fingerprint(self) -> str:
        """Of the pixels, image by image, so that a list of images and an array of them are the same; computed once."""
        if self._fingerprint is None:
            self._fingerprint = digest(["images", *self._images])
        return self._fingerprint


def _images(images: Images) -> Images:
    listed = hasattr(images, "__len__") and hasattr(images, "__getitem__") and getattr(images, "ndim", 1) > 0
    if isinstance(images, str | bytes | dict | type) or not listed:
        raise DataError("images as an array, or a list of arrays", came(images), "For files take data.ImageFiles.")
    return images
