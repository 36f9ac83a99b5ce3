"""Upsampled fine-tuning: small groups are drawn as often as large ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.objectives.base import EqualCaptions
from ravl_explore.objectives.groups import balanced
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.support import checks


@dataclass(frozen=True)
class Upsampled(ImageObjective):
    """CLIP's loss; images are drawn with replacement so that every (class, feature present) group is equally likely.

    Parameters
    ----------
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are; negatives as in CLIP.
    """

    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        checks.one_of("equal_captions", self.equal_captions, ("negatives", "positives"))

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
        """One over the size of the image's group, see :func:`~ravl_explore.objectives.groups.balanced`.

        Examples
        --------
        >>> Upsampled().sample_weights(np.array([0, 0, 0]), np.array([True, True, False])).tolist()
        [0.25, 0.25, 0.5]
        """
        return balanced(labels, present)
