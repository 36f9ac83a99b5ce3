"""Relabelled: a dataset under other labels, such as those that its captions give."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from ravl_explore.data.base import ImageTextDataset


class Relabelled:
    """All of ``data`` but its labels.

    Parameters
    ----------
    data : whose images they are
    labels : (n_images,), -1 for images without a class
    """

    def __init__(self, data: ImageTextDataset, labels: Int[np.ndarray, " n_images"]) -> None:
        self.data, self.labels = data, labels

    def __len__(self) -> int:
        return len(self.data)

    def __getattr__(self, name: str) -> Any:
        if name == "data":  # not there yet, while it is copied
            raise AttributeError(name)
        return getattr(self.data, name)
