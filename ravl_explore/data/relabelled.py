"""Relabelled: a dataset under other labels, such as those that its captions give."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.views import View


class Relabelled(View):
    """All of ``data`` but its labels.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images they are.
    labels : Int[np.ndarray, " n_images"]
        Indices into its ``class_names``, -1 for images without a class.
    """

    def __init__(self, data: ImageTextDataset, labels: Int[np.ndarray, " n_images"]) -> None:
        self.data, self.labels = data, labels
        self.index = np.arange(len(data))

    def __len__(self) -> int:
        return len(self.data)

    def __getattr__(self, name: str) -> Any:
        if name == "data":  # not there yet, while it is copied
            raise AttributeError(name)
        return getattr(self.data, name)
