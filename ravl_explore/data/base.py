"""ImageTextDataset: labelled images with what zero-shot classification, discovery and fine-tuning need of them.

To add a source, write one file with a class that offers the attributes of :class:`ImageTextDataset` (subclass
:class:`ArrayDataset` when all images fit in memory, :class:`~ravl_explore.data.files.ImageFiles` when each is a file),
and add it to ``__all__`` of :mod:`ravl_explore.data`. Sources of files also offer ``where(index)``, the file's path,
and ``unreadable()``, index -> reason for those whose header cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.errors import DataError, InputError
from ravl_explore.fingerprints import digest
from ravl_explore.regions.base import Regions

CLIP_TEMPLATES = ("a photo of a {}",)


class ImageTextDataset(Protocol):
    """What every dataset offers; ``None`` says that it does not know.

    Attributes
    ----------
    name : str
    class_names : tuple of str
    labels : (n_images,) int64, indices into ``class_names``
    templates : prompts for zero-shot classification, each with one ``{}`` for the class name
    captions : one per image, or None
    image_sizes : (n_images, 2) int64, width and height in pixels
    regions : boxes that come with the data, or None
    feature_name, feature_present : the annotated spurious feature and (n_images,) bool whether each image holds it
    region_labels : (n_regions,) int64, for ``regions``: the class a region shows, -1 for none
    region_feature : (n_regions,) bool, for ``regions``: whether the region holds the annotated feature
    """

    name: str
    class_names: tuple[str, ...]
    labels: Int[np.ndarray, " n_images"]
    templates: tuple[str, ...]
    captions: tuple[str, ...] | None
    regions: Regions | None
    feature_name: str | None
    feature_present: Bool[np.ndarray, " n_images"] | None
    region_labels: Int[np.ndarray, " n_regions"] | None
    region_feature: Bool[np.ndarray, " n_regions"] | None

    def __len__(self) -> int: ...

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]: ...

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB; an unreadable file raises DataError with its name."""
        ...

    def fingerprint(self) -> str:
        """One name for the images, in order, by which stored embeddings of them are found again.

        Labels, class names, captions and boxes are no part of it: images embed alike whatever is said of them.
        """
        ...


class ArrayDataset:
    """Images in memory: (n_images, height, width, 3) uint8, or a list of (height, width, 3) uint8 arrays.

    Examples
    --------
    >>> data = ArrayDataset(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], ["cat", "dog"])
    >>> len(data), data.image_sizes.tolist()
    (2, [[8, 8], [8, 8]])
    """

    def __init__(
        self,
        images: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        class_names: Sequence[str],
        *,
        name: str = "arrays",
        templates: Sequence[str] = CLIP_TEMPLATES,
        captions: Sequence[str] | None = None,
        regions: Regions | None = None,
        feature_name: str | None = None,
        feature_present: np.ndarray | None = None,
        region_labels: np.ndarray | None = None,
        region_feature: np.ndarray | None = None,
    ) -> None:
        self._images = images
        self._fingerprint: str | None = None
        for index in {0, len(images) - 1} if len(images) else set():
            _check_image(images[index], index)
        self.name = name
        self.class_names = tuple(str(each) for each in class_names)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.templates: tuple[str, ...] = templates if isinstance(templates, str) else tuple(templates)  # type: ignore
        self.captions = None if captions is None else tuple(captions)
        self.regions = regions
        self.feature_name = feature_name
        self.feature_present = None if feature_present is None else np.asarray(feature_present, bool)
        self.region_labels = None if region_labels is None else np.asarray(region_labels, np.int64)
        self.region_feature = None if region_feature is None else np.asarray(region_feature, bool)
        check_dataset(self)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        if isinstance(self._images, np.ndarray):
            return np.tile(np.array([self._images.shape[2], self._images.shape[1]]), (len(self._images), 1))
        return np.array([(image.shape[1], image.shape[0]) for image in self._images], dtype=np.int64).reshape(-1, 2)

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        image = self._images[index]
        _check_image(image, index)
        return image

    def fingerprint(self) -> str:
        """Of the pixels; computed once."""
        if self._fingerprint is None:
            arrays = [self._images] if isinstance(self._images, np.ndarray) else self._images
            self._fingerprint = digest(["arrays", *arrays])
        return self._fingerprint


def check_dataset(data: ImageTextDataset) -> None:
    """Raise when a dataset cannot be used: no image, one class, labels or captions that do not fit, bad prompts."""
    n_images, n_classes = len(data), len(data.class_names)
    if n_images == 0:
        raise DataError("at least one image", "none", "Check the path, or the filter that left nothing.")
    if n_classes < 2:
        raise DataError(
            "at least two classes", f"{n_classes}", "Zero-shot classification compares classes; add the others' names."
        )
    _check_names(data.class_names)
    if data.labels.shape != (n_images,):
        raise DataError(
            f"one label for each of {n_images} images", f"shape {data.labels.shape}", "Give one integer per image."
        )
    outside = np.flatnonzero((data.labels < 0) | (data.labels >= n_classes))
    if len(outside):
        raise DataError(
            f"labels from 0 to {n_classes - 1}",
            f"{int(data.labels[outside[0]])} at image {int(outside[0])}, {len(outside)} such in all",
            "Labels are indices into class_names.",
        )
    check_templates(data.templates)
    if data.captions is not None and len(data.captions) != n_images:
        raise DataError(f"{n_images} captions", f"{len(data.captions)}", "Give one caption per image.")
    if data.feature_present is not None and data.feature_present.shape != (n_images,):
        raise DataError(
            f"feature_present of shape ({n_images},)", f"{data.feature_present.shape}", "Give one flag per image."
        )
    _check_regions(data)


def _check_names(class_names: Sequence[str]) -> None:
    """Names must give prompts that a text tower can tell apart; CLIP's reads no case and no extra spaces."""
    first: dict[str, str] = {}
    for name in class_names:
        plain = " ".join(name.split()).casefold()
        if not plain:
            raise DataError("a name for every class", "an empty one", "Prompts need it: name the class in words.")
        if plain in first:
            raise DataError(
                "class names that differ, also in lower case", f"{[first[plain], name]}", "Rename or merge them."
            )
        first[plain] = name


def _check_regions(data: ImageTextDataset) -> None:
    """What is known of the dataset's own boxes must be known of each, and of classes that there are."""
    known = {name: getattr(data, name) for name in ("region_labels", "region_feature")}
    if data.regions is None:
        return  # ready for a proposer's boxes, as Demo's are
    n_regions = len(data.regions)
    for name, values in known.items():
        if values is not None and values.shape != (n_regions,):
            raise DataError(f"{name} of shape ({n_regions},)", f"{values.shape}", "Give one value per box.")
    if n_regions and int(data.regions.image_index[-1]) >= len(data):
        raise DataError(
            f"boxes of images 0 to {len(data) - 1}",
            f"a box of image {int(data.regions.image_index[-1])}",
            "Give the boxes of these images, in their order.",
        )
    labels = data.region_labels
    if labels is not None and len(labels) and not -1 <= labels.min() <= labels.max() < len(data.class_names):
        raise DataError(
            f"region_labels from -1 (none) to {len(data.class_names) - 1}",
            f"{int(labels.min())} to {int(labels.max())}",
            "They are indices into class_names, as labels are.",
        )


def check_templates(templates: Sequence[str]) -> None:
    """Raise InputError unless there is a prompt and each has exactly one ``{}``."""
    if isinstance(templates, str):
        raise InputError("a list of prompt templates", repr(templates), 'Write ["a photo of a {}"], with brackets.')
    if not templates:
        raise InputError("at least one prompt template", "none", 'Give one such as "a photo of a {}".')
    for template in templates:
        if template.count("{}") != 1 or template.replace("{}", "").count("{") or template.replace("{}", "").count("}"):
            raise InputError("a template with one {}", repr(template), 'Write it like "a photo of a {}".')


def _check_image(image: np.ndarray, index: int) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise DataError(
            "images of shape (height, width, 3) in uint8",
            f"image {index} with shape {image.shape} in {image.dtype}",
            "Convert it to RGB with values from 0 to 255.",
        )
