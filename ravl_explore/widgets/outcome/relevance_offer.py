"""Offer: one model or two whose relevance can be looked at, over one dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.metrics import Alignment
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.relevance import RelevanceMaps, relevance_maps
from ravl_explore.support.progress import Progress

MEASURED = 256  # images of the alignment, spread over the dataset


@dataclass(frozen=True, eq=False)
class Offer:
    """What can be looked at.

    Attributes
    ----------
    models : tuple of VisionLanguageModel
        Before and, if there are two, after fine-tuning.
    data : ImageTextDataset
        Whose images are looked at.
    open_concepts : callable or None
        Gives masks of ``data`` to compare with, if there are any.
    """

    models: tuple[VisionLanguageModel, ...]
    data: ImageTextDataset
    open_concepts: Callable[[], ConceptMasks] | None

    def trace(
        self,
        images: Int64[np.ndarray, " n"],
        classes: str | int,
        boxes: Float[np.ndarray, "n 4"] | None,
        progress: Progress | None = None,
    ) -> tuple[RelevanceMaps, ...]:
        """Maps of these images by each model; see :func:`~ravl_explore.relevance.relevance_maps`."""
        return tuple(
            relevance_maps(model, self.data, images, classes, boxes, progress=progress) for model in self.models
        )

    def align(self, classes: str | int, progress: Progress | None = None) -> tuple[str, tuple[Alignment, ...]]:
        """The masks' name, and how well each model agrees with them over up to 256 images spread over the dataset."""
        assert self.open_concepts is not None
        concepts, n = self.open_concepts(), len(self.data)
        images = np.unique(np.linspace(0, n - 1, min(n, MEASURED)).astype(np.int64))
        traced = (relevance_maps(model, self.data, images, classes, progress=progress) for model in self.models)
        return concepts.name, tuple(maps.align(concepts) for maps in traced)
