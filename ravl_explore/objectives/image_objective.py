"""ImageObjective: the plain CLIP loss, whose parts other objectives change; Run: one run of one that remembers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravl_explore.objectives.base import (
    LEARNING_RATE,
    Batch,
    ClassText,
    EqualCaptions,
    Objective,
    Start,
    Values,
    equal_captions_of,
)
from ravl_explore.objectives.losses import clip_loss


class ImageObjective:
    """The plain CLIP loss on whole images, every image once an epoch; other objectives change one part of it.

    Attributes
    ----------
    uses_regions, uses_relevance, takes_steps : bool
    usual_learning_rate : float
    class_text : {"prompts", "names"}
        As of every :class:`~ravl_explore.objectives.base.Objective`.
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are to the CLIP loss.
    """

    uses_regions: bool = False
    uses_relevance: bool = False
    takes_steps: bool = True
    usual_learning_rate: float = LEARNING_RATE
    class_text: ClassText = "prompts"
    equal_captions: EqualCaptions = "negatives"

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return None

    def begin(self, start: Start) -> Objective:
        return self  # type: ignore[return-value]  # subclasses have a name

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        return {"loss": self.contrastive(image, batch)}

    def contrastive(self, image: Float[Tensor, "b dim"], batch: Batch) -> Tensor:
        """L_CL of the batch.

        Parameters
        ----------
        image : Float[Tensor, "b dim"]
            Unit-norm embeddings.
        batch : Batch
            Their captions, and the temperature.
        """
        return clip_loss(image, batch.captions, batch.temperature, self.equal_captions)

    def state(self) -> dict[str, Tensor]:
        """What a run has accumulated, to be stored in a checkpoint; nothing for most."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` gave.

        Parameters
        ----------
        state : mapping of str to Tensor
            By the same names.
        """


class Run(ImageObjective):
    """One run of an objective that keeps something from step to step; what is not overwritten is the objective's.

    Parameters
    ----------
    objective : Objective
        What the run is of.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective, self.name = objective, objective.name
        self.uses_regions: bool = objective.uses_regions
        self.uses_relevance: bool = objective.uses_relevance
        self.usual_learning_rate: float = objective.usual_learning_rate
        self.class_text: ClassText = objective.class_text
        self.equal_captions: EqualCaptions = equal_captions_of(objective)

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return self.objective.sample_weights(labels, present)

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return self.objective.edit(batch, generator)
