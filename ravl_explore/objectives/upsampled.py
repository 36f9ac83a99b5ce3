"""Upsampled fine-tuning: small groups are drawn as often as large ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.objectives.base import ImageObjective


@dataclass(frozen=True)
class Upsampled(ImageObjective):
    """CLIP's loss; images are drawn with replacement so that every (class, feature present) group is equally likely."""

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Upsampled fine-tuning": ()}

    @property
    def name(self) -> str:
        return "Upsampled fine-tuning"

    def sample_weights(
        self, labels: Int[np.ndarray, " n_images"], present: Bool[np.ndarray, " n_images"]
    ) -> Float[np.ndarray, " n_images"]:
        """One over the size of the image's group.

        Examples
        --------
        >>> Upsampled().sample_weights(np.array([0, 0, 0]), np.array([True, True, False])).tolist()
        [0.25, 0.25, 0.5]
        """
        group = labels * 2 + present
        _, where, sizes = np.unique(group, return_inverse=True, return_counts=True)
        weights = 1.0 / sizes[where]
        return weights / weights.sum()
