"""label(): the classes of a dataset's images by their captions alone, where they are to stand instead of its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from ravl_explore.captions.labeller import CaptionLabeller
from ravl_explore.captions.labels import CaptionLabels
from ravl_explore.errors import DataError, InputError
from ravl_explore.support import checks


class HasCaptions(Protocol):
    """The little of a dataset that is looked at."""

    @property
    def class_names(self) -> Sequence[str]:
        """What the labels index."""
        ...

    @property
    def captions(self) -> Sequence[str | None] | None:
        """One for each image, or None."""
        ...


def label(
    data: HasCaptions,
    labeller: CaptionLabeller | None = None,
    *,
    similarity: Float[np.ndarray, "n_images n_classes"] | None = None,
) -> CaptionLabels:
    """What every caption of ``data`` says, in the order of its images; ``.labels`` is -1 where none is to be had.

    Parameters
    ----------
    data : HasCaptions
        Any dataset with captions.
    labeller : CaptionLabeller or None
        Of the dataset's classes; ``CaptionLabeller(data.class_names)`` unless given.
    similarity : Float[np.ndarray, "n_images n_classes"] or None
        Of each image to each class text, for ``ambiguity="similar"`` alone.

    Raises
    ------
    DataError
        When ``data`` has no captions, or not one gives a label.
    InputError
        When the labeller is of other classes, or in another order; and what calling it raises.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> data = SimpleNamespace(class_names=("cat", "dog"), captions=("a dog", "a cat and a dog", "two cats"))
    >>> label(data).labels.tolist(), label(data, CaptionLabeller(data.class_names, ambiguity="first")).labels.tolist()
    ([1, -1, 0], [1, 0, 0])
    """
    checks.offers("data", data, "a dataset", ("captions", "class_names"), "Open one with ravl_explore.data.")
    if labeller is not None:
        checks.instance("labeller", labeller, CaptionLabeller, "Make it with CaptionLabeller(data.class_names, ...).")
    captions = data.captions
    if captions is None:
        raise DataError(
            "a dataset with captions", "one without", "Go on with its own labels, or name its column of captions."
        )
    if labeller is None:
        labeller = CaptionLabeller(data.class_names)
    if tuple(labeller.class_names) != tuple(data.class_names):
        raise InputError(
            f"a labeller of the dataset's classes, {_some(data.class_names)}",
            f"one of {_some(labeller.class_names)}",
            "Make it with CaptionLabeller(data.class_names, ...).",
        )
    return labeller(captions, similarity).require()


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + ("" if len(names) <= 5 else f" and {len(names) - 5} more")
