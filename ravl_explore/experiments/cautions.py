"""Caution: why a comparison cannot be trusted, as a code that a program can ask for, and a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ravl_explore.assignment.features import Feature
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.known_images import Identity
from ravl_explore.data.overlap import shared_images
from ravl_explore.errors import InputError
from ravl_explore.evaluation import Evaluation
from ravl_explore.support import checks

Code = Literal["seen", "class missing", "feature absent", "groups missing", "chance"]
CODES: tuple[Code, ...] = ("seen", "class missing", "feature absent", "groups missing", "chance")
MOST_NAMED = 5


@dataclass(frozen=True)
class Caution:
    """What to beware of.

    Attributes
    ----------
    code : {"seen", "class missing", "feature absent", "groups missing", "chance"}
        Images to compare on were searched or trained on; no image is of the class that the feature pulls to; no image
        holds the feature, or every one; classes have no image with it, or none without; the model is no better than
        guessing.
    text : str
        One sentence or two.

    Raises
    ------
    InputError
        For another code, or no text.
    """

    code: Code
    text: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise InputError(f"a code of {', '.join(CODES)}", checks.came(self.code), "Take one of CODES.")
        checks.text("text", self.text)


def seen(test_data: ImageTextDataset, seen_data: Sequence[ImageTextDataset], feature: Feature) -> tuple[Caution, ...]:
    """Whether images to compare on were searched or trained on.

    Parameters
    ----------
    test_data : ImageTextDataset
        Images to compare on.
    seen_data : sequence of ImageTextDataset
        Images that were searched, validated or trained on.
    feature : Feature
        Knows which images it was found in.
    """
    most = max((shared_images(test_data, data) for data in seen_data), default=0)
    if not most and _same(feature.searched, Identity.of(test_data)):
        most = len(test_data)
    if not most:
        return ()
    n = len(test_data)
    return (Caution("seen", too_optimistic() if most == n else too_optimistic(f"{most:,} of these {n:,}")),)


def too_optimistic(which: str = "these") -> str:
    """What is said where images to compare on were seen before.

    Parameters
    ----------
    which : str
        Of the images.

    Examples
    --------
    >>> too_optimistic("3 of these 5")
    'Too optimistic: 3 of these 5 images were searched or trained on. Pick others to compare on.'
    """
    return f"Too optimistic: {which} images were searched or trained on. Pick others to compare on."


def class_missing(test_data: ImageTextDataset, attribute: str | None) -> tuple[Caution, ...]:
    """Whether the class that the feature pulls to has an image at all.

    Parameters
    ----------
    test_data : ImageTextDataset
        Images to compare on.
    attribute : str or None
        The class; of None nothing is said.
    """
    names = test_data.class_names
    if attribute is None or (attribute in names and (test_data.labels == names.index(attribute)).any()):
        return ()
    text = f"{test_data.name} has no image of {attribute!r}, the class that the feature pulls to: ε1 is not known."
    return (Caution("class missing", text),)


def groups_missing(before: Evaluation) -> tuple[Caution, ...]:
    """Whether the test images hold the feature, and all classes have images with it and without.

    Parameters
    ----------
    before : Evaluation
        Of the searched model, on the test images.
    """
    if before.found is None:
        return ()
    n_with, n, names = int(before.found.sum()), len(before.found), before.class_names
    if n_with in (0, n):
        which = "Every" if n_with else "No"
        text = f"{which} image of {before.data_name} holds the feature: its effect cannot be measured."
        return (Caution("feature absent", text),)
    counts = np.bincount(2 * before.labels + before.found, minlength=2 * len(names)).reshape(-1, 2)
    lacking = [
        f"{name!r} {'with' if present else 'without'}"
        for name, row in zip(names, counts, strict=True)
        for present in (0, 1)
        if row.any() and not row[present]
    ]
    if not lacking:
        return ()
    named, more = ", ".join(lacking[:MOST_NAMED]), len(lacking) - MOST_NAMED
    others = f", nor of {more} more groups" if more > 0 else ""
    text = f"{before.data_name} has no image of {named} the feature{others}: these groups are not known."
    return (Caution("groups missing", text),)


def chance(before: Evaluation) -> tuple[Caution, ...]:
    """Whether the model that all start from is no better than guessing.

    Parameters
    ----------
    before : Evaluation
        Of that model.
    """
    return (Caution("chance", before.doubt),) if before.doubt else ()


def _same(one: Identity, other: Identity) -> bool:
    return bool(one.fingerprint and other.fingerprint) and not one.differs(other)
