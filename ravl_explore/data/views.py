"""View: a dataset that shows images of another; whole() and unwrapped() tell of which."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ravl_explore.data.base import ImageTextDataset


class View:
    """A dataset that shows images of another: some of them, or all under other labels.

    Attributes
    ----------
    data : ImageTextDataset
        Whose images they are; it may itself be a view.
    index : Int[np.ndarray, " n_images"]
        The number in ``data`` of each image.
    """

    data: ImageTextDataset
    index: Int[np.ndarray, " n_images"]


def unwrapped(data: ImageTextDataset, kind: type[View] = View) -> tuple[ImageTextDataset, Int[np.ndarray, " n_images"]]:
    """The dataset that a view is of at last, which is no view, and the number there of each image.

    Parameters
    ----------
    data : ImageTextDataset
        One that is no view is itself the whole.
    kind : type of View
        Views of another kind count as no views.

    Examples
    --------
    >>> from ravl_explore.data import Demo, Subset
    >>> data, index = unwrapped(Subset(Subset(Demo("val"), [7, 3, 5]), [2, 0]))
    >>> type(data).__name__, index.tolist()
    ('Demo', [5, 7])
    """
    if not isinstance(data, kind):
        return data, np.arange(len(data))
    index = data.index
    while isinstance(data := data.data, kind):
        index = data.index[index]
    return data, index


def whole(data: ImageTextDataset) -> ImageTextDataset:
    """The dataset that a view is of at last; one that is no view is itself.

    Parameters
    ----------
    data : ImageTextDataset
    """
    while isinstance(data, View):
        data = data.data
    return data
