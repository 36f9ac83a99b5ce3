"""ImageTextDataset: labelled images with what zero-shot classification, discovery and fine-tuning need of them.

To add a source, write one file with a class that offers the attributes of :class:`ImageTextDataset` (subclass
:class:`~ravl_explore.data.arrays.ArrayDataset` when all images fit in memory,
:class:`~ravl_explore.data.files.ImageFiles` when each is a file), and add it to ``__all__`` of
:mod:`ravl_explore.data`. What it may offer beyond them, such as ``where(index)``, a file's path, is in
:mod:`ravl_explore.data.optional_members`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.data.given_values import array_of, names
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support.checks import came, offers

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
        What the dataset is called.
    class_names : tuple of str
        At least two, which prompts tell apart.
    labels : Int[np.ndarray, " n_images"]
        Indices into ``class_names``, int64.
    templates : tuple of str
        Prompts for zero-shot classification, each with one ``{}`` for the class name.
    captions : tuple of str or None
        One for each image.
    image_sizes : Int[np.ndarray, "n_images 2"]
        Width and height in pixels, int64.
    regions : Regions or None
        Boxes that come with the data.
    feature_name : str or None
        What the annotated spurious feature is called.
    feature_present : Bool[np.ndarray, " n_images"] or None
        Whether an image holds that feature.
    region_labels : Int[np.ndarray, " n_regions"] or None
        For ``regions``: the class that a region shows, -1 for none; int64.
    region_feature : Bool[np.ndarray, " n_regions"] or None
        For ``regions``: whether a region holds the annotated feature.
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
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Width and height of every image, in pixels."""
        ...

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, RGB; an unreadable file raises DataError with its name.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        ...

    def fingerprint(self) -> str:
        """One name for the images, in order, by which stored embeddings of them are found again.

        Labels, class names, captions and boxes are no part of it: images embed alike whatever is said of them.
        """
        ...


def check_attributes(data: ImageTextDataset, name: str = "data") -> None:
    """Raise InputError unless it is a dataset: no path of one, not its class, and with all that a dataset has.

    Parameters
    ----------
    data : ImageTextDataset
        What is looked at.
    name : str
        The argument's, for the message.
    """
    offers(name, data, "a dataset", REQUIRED, "Open one with data.open_dataset, or see data.ImageTextDataset.")


def check_dataset(data: ImageTextDataset, name: str = "data") -> None:
    """Raise when a dataset cannot be used: something missing, no image, one class, labels or captions that do not fit.

    Pixels are checked as they are read, see :func:`~ravl_explore.data.checked_images.checked_image`.

    Parameters
    ----------
    data : ImageTextDataset
        What is looked at.
    name : str
        The argument's, for the message.

    Raises
    ------
    InputError
        When it is no dataset, or its templates are no prompts.
    DataError
        For all else.
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
    labels = array_of("labels", data.labels, "i")
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
    if data.feature_present is not None and array_of("feature_present", data.feature_present, "b").shape != (n_images,):
        raise DataError(
            f"feature_present of shape ({n_images},)", f"{data.feature_present.shape}", "Give one flag per image."
        )
    _check_regions(data)


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
            array_of(name, values, kinds[name])
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
    """Raise InputError unless there is a prompt and each has exactly one ``{}``.

    Parameters
    ----------
    templates : sequence of str
        With ``{}`` where the class name goes.
    """
    if isinstance(templates, str) or not isinstance(templates, Sequence):
        raise InputError("a list of prompt templates", came(templates), 'Write ["a photo of a {}"], with brackets.')
    if not templates:
        raise InputError("at least one prompt template", "none", 'Give one such as "a photo of a {}".')
    for template in templates:
        if not isinstance(template, str):
            raise InputError("templates as texts", came(template), 'Write it like "a photo of a {}".')
        if template.count("{}") != 1 or template.replace("{}", "").count("{") or template.replace("{}", "").count("}"):
            raise InputError("a template with one {}", repr(template), 'Write it like "a photo of a {}".')
