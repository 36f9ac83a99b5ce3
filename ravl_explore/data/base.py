"""ImageTextDataset: labelled images with what zero-shot classification, discovery and fine-tuning need of them.

To add a source, write one file with a class that offers the attributes of :class:`ImageTextDataset` (subclass
:class:`ArrayDataset` when all images fit in memory, :class:`~ravl_explore.data.files.ImageFiles` when each is a file),
and add it to ``__all__`` of :mod:`ravl_explore.data`. Sources of files also offer ``where(index)``, the file's path,
and ``unreadable()``, index -> reason for those whose header cannot be read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support.checks import came, offers, pixels
from ravl_explore.support.fingerprints import digest

CLIP_TEMPLATES = ("a photo of a {}",)
REQUIRED = (  # fingerprint() only where embeddings are kept
    "name", "class_names", "labels", "templates", "captions", "image_sizes", "regions", "feature_name",
    "feature_present", "region_labels", "region_feature", "image", "__len__",
)  # fmt: skip


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
        if isinstance(self._images, np.ndarray):
            return np.tile(np.array([self._images.shape[2], self._images.shape[1]]), (len(self._images), 1))
        shapes = [pixels(image, f"image {index}").shape for index, image in enumerate(self._images)]
        return np.array([(width, height) for height, width, _ in shapes], dtype=np.int64).reshape(-1, 2)

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        return pixels(self._images[index], f"image {index}")

    def fingerprint(self) -> str:
        """Of the pixels, image by image, so that a list of images and an array of them are the same; computed once."""
        if self._fingerprint is None:
            self._fingerprint = digest(["images", *self._images])
        return self._fingerprint


def check_attributes(data: ImageTextDataset, name: str = "data") -> None:
    """Raise InputError unless it is a dataset: no path of one, not its class, and with all that each has."""
    offers(name, data, "a dataset", REQUIRED, "Open one with data.open_dataset, or see data.ImageTextDataset.")


def check_dataset(data: ImageTextDataset, name: str = "data") -> None:
    """Raise when a dataset cannot be used: something missing, no image, one class, labels or captions that do not fit.

    Pixels are checked as they are read, see :func:`checked_image`.
    """
    check_attributes(data, name)
    if not isinstance(data.name, str):
        raise DataError("name a text", came(data.name), "Name the dataset in words.")
    class_names = names("class_names", data.class_names)
    n_images, n_classes = len(data), len(class_names)
    if n_images == 0:
        raise DataError("at least one image", "none", "Check the path, or the filter that left nothing.")
    if n_classes < 2:
        raise DataError(
            "at least two classes", f"{n_classes}", "Zero-shot classification compares classes; add the others' names."
        )
    _check_names(class_names)
    labels = _array("labels", data.labels, "i")
    if labels.shape != (n_images,):
        raise DataError(
            f"one label for each of {n_images} images", f"shape {labels.shape}", "Give one integer per image."
        )
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(outside):
        raise DataError(
            f"labels from 0 to {n_classes - 1}",
            f"{int(labels[outside[0]])} at image {int(outside[0])}, {len(outside)} such in all",
            "Labels are indices into class_names.",
        )
    check_templates(data.templates)
    if data.captions is not None and len(names("captions", data.captions)) != n_images:
        raise DataError(f"{n_images} captions", f"{len(data.captions)}", "Give one caption per image.")
    if data.feature_name is not None and not isinstance(data.feature_name, str):
        raise DataError("feature_name a text, or None", came(data.feature_name), "Name the feature in words.")
    if data.feature_present is not None and _array("feature_present", data.feature_present, "b").shape != (n_images,):
        raise DataError(
            f"feature_present of shape ({n_images},)", f"{data.feature_present.shape}", "Give one flag per image."
        )
    _check_regions(data)


def names(name: str, values: Any, *, numbers: bool = False) -> tuple[str, ...]:
    """Texts of a dataset, one a class or one an image; DataError for a single text, or for anything else among them.

    ``numbers``: whole numbers become texts, as classes may be called 0 to 9.
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__") or not getattr(values, "ndim", 1):
        raise DataError(f"{name} as a list of texts", came(values), 'Write ["one", "another"], with brackets.')
    plain = (np.str_, int, np.integer) if numbers else np.str_
    found: tuple[Any, ...] = tuple(
        str(each) if isinstance(each, plain) and not isinstance(each, bool) else each for each in values
    )
    wrong = next((i for i, each in enumerate(found) if not isinstance(each, str)), None)
    if wrong is not None:
        raise DataError(f"{name} as texts", f"{came(found[wrong])} at {wrong}", "Write each in quotes.")
    return found


def integers(name: str, values: Any) -> Int[np.ndarray, "..."]:
    """Numbers of a dataset as int64; DataError for texts and fractions, which NumPy would make numbers of."""
    found = _as_array(name, values)
    if found.size and found.dtype.kind not in "iu":
        raise DataError(f"{name} as whole numbers", came(found), "Give indices: 0 for the first class, and so on.")
    return found.astype(np.int64, copy=False)


def flags(name: str, values: Any) -> Bool[np.ndarray, "..."]:
    """Flags of a dataset, where 0 and 1 are some; DataError for all else, which NumPy would take for True."""
    found = _as_array(name, values)
    if found.size and found.dtype.kind != "b" and not (found.dtype.kind in "iu" and np.isin(found, (0, 1)).all()):
        raise DataError(f"{name} as True or False", came(found), "Give one flag each, without quotes.")
    return found.astype(bool, copy=False)


def _as_array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths in it
        raise DataError(f"{name} as a list of numbers", f"lists in {came(values)}", "Give one value each.") from error


def _array(name: str, values: Any, kind: str) -> np.ndarray:
    wanted = {"i": "int64", "b": "bool"}[kind]
    if (
        not isinstance(values, np.ndarray)
        or not values.ndim
        or values.dtype.kind != kind
        or (kind == "i" and values.dtype.itemsize < 4)
    ):
        raise DataError(f"{name} as an array of {wanted}", came(values), f"Write np.asarray({name}, np.{wanted}).")
    return values


def _images(images: Any) -> Any:
    listed = hasattr(images, "__len__") and hasattr(images, "__getitem__") and getattr(images, "ndim", 1) > 0
    if isinstance(images, str | bytes | dict | type) or not listed:
        raise DataError("images as an array, or a list of arrays", came(images), "For files take data.ImageFiles.")
    return images


def checked_image(
    data: Any, index: int, size: Sequence[int] | np.ndarray | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of one image, once they are what a dataset promises; whatever reads pixels reads them here.

    Parameters
    ----------
    size : width and height by the dataset's ``image_sizes``, where they are known: boxes are in pixels of that size

    Raises
    ------
    DataError
        For what is no (height, width, 3) array of uint8, or has another size; it names the image.
    """
    image = pixels(data.image(index), where(data, index))
    if size is not None and (image.shape[1], image.shape[0]) != (int(size[0]), int(size[1])):
        raise DataError(
            f"{where(data, index)} of {int(size[0])} x {int(size[1])} pixels, as image_sizes says",
            f"one of {image.shape[1]} x {image.shape[0]}",
            "Boxes are in pixels of that size: mend image_sizes (width, then height), or image().",
        )
    return image


def checked_sizes(data: Any, index: np.ndarray | None = None) -> Int[np.ndarray, "n 2"]:
    """Width and height of every image, or of some, once they are whole numbers of at least 1."""
    if index is None:
        sizes, n = data.image_sizes, len(data)
    else:
        sizes, n = (data.sizes_of(index) if hasattr(data, "sizes_of") else data.image_sizes[index]), len(index)
    if not isinstance(sizes, np.ndarray) or sizes.dtype.kind not in "iu" or sizes.shape != (n, 2) or (sizes < 1).any():
        raise DataError(
            f"image_sizes as integers of at least 1, of shape ({n}, 2)", came(sizes), "Give width and height per image."
        )
    return sizes


def where(data: Any, index: int) -> str:
    """What to call one image in messages: its file, or its number."""
    return str(data.where(index)) if hasattr(data, "where") else f"image {index}"


def _check_names(class_names: Sequence[str]) -> None:
    """Names must give prompts that a text tower can tell apart; CLIP's reads no case and no extra spaces."""
    first: dict[str, str] = {}
    for name in class_names:
        plain = _plain(name)
        if not plain:
            raise DataError("a name for every class", "an empty one", "Prompts need it: name the class in words.")
        if plain in first:
            raise DataError(
                "class names that differ, also in lower case and in what is seen of them",
                f"{[first[plain], name]!a}",
                "Rename or merge them.",
            )
        first[plain] = name


def _plain(name: str) -> str:
    """A name as it is read: one of Unicode's ways to write a letter, no case, nothing invisible, single spaces."""
    spelled = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(c for c in spelled if unicodedata.category(c) != "Cf").split())


def _check_regions(data: ImageTextDataset) -> None:
    """What is known of the dataset's own boxes must be known of each, and of classes that there are."""
    kinds = {"region_labels": "i", "region_feature": "b"}
    known = {name: getattr(data, name) for name in kinds}
    for name, values in known.items():
        if values is not None:
            _array(name, values, kinds[name])
    if data.regions is None:
        return  # ready for a proposer's boxes, as Demo's are
    if not isinstance(data.regions, Regions):
        raise DataError(
            "regions as Regions, or None", came(data.regions), "Make them with Regions(boxes, image_index)."
        )
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
    if isinstance(templates, str) or not isinstance(templates, Sequence):
        raise InputError("a list of prompt templates", came(templates), 'Write ["a photo of a {}"], with brackets.')
    if not templates:
        raise InputError("at least one prompt template", "none", 'Give one such as "a photo of a {}".')
    for template in templates:
        if not isinstance(template, str):
            raise InputError("templates as texts", came(template), 'Write it like "a photo of a {}".')
        if template.count("{}") != 1 or template.replace("{}", "").count("{") or template.replace("{}", "").count("}"):
            raise InputError("a template with one {}", repr(template), 'Write it like "a photo of a {}".')
