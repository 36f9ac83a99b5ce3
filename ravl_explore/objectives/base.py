"""What fine-tuning minimises: the batch an objective sees, and what it must offer.

To add an objective, write one file with a frozen dataclass that has a ``name``, ``sample_weights``, ``edit`` and
``__call__`` (subclass :class:`ImageObjective` to change just one), and add it to ``__all__`` of
:mod:`ravl_explore.objectives`. ``__call__`` returns named terms, the one called ``loss`` is minimised; the trainer
records and plots them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one step with their regions.

    Attributes
    ----------
    pixels : (b, 3, s, s) float32 RGB in [0, 1]
    boxes : (n, 5) float32: place in the batch, then x1, y1, x2, y2 in pixels of the model's input
    spurious, core : (n,) bool, see :class:`ravl_explore.assignment.Assignment`
    labels : (b,) int64 class of each image; -1 when its caption names none
    captions : (b, dim) unit-norm caption embeddings, frozen
    classes : (n_classes, dim) unit-norm class embeddings, frozen
    temperature : what similarities are divided by
    """

    pixels: Float[Tensor, "b 3 s s"]
    boxes: Float[Tensor, "n 5"]
    spurious: Bool[Tensor, " n"]
    core: Bool[Tensor, " n"]
    labels: Int[Tensor, " b"]
    captions: Float[Tensor, "b dim"]
    classes: Float[Tensor, "n_classes dim"]
    temperature: float

    @property
    def image_of_region(self) -> Int[Tensor, " n"]:
        """(n,) place of each region's image in the batch."""
        return self.boxes[:, 0].long()


class Objective(Protocol):
    """One way to fine-tune."""

    @property
    def name(self) -> str:
        """What menus show."""
        ...

    @property
    def uses_regions(self) -> bool:
        """Whether regions must be embedded in every step."""
        ...

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        """(n_images,) chances of being drawn, from labels and whether the feature is there; None draws each once."""
        ...

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch that the model shall see instead."""
        ...

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms from unit-norm image (b, dim) and region (n, dim) embeddings; ``loss`` is minimised."""
        ...


class ImageObjective:
    """The plain CLIP loss on whole images, every image once an epoch; other objectives change one part of it."""

    uses_regions = False

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return None

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        return batch

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": clip_loss(image, batch.captions, batch.temperature)}


def clip_loss(image: Float[Tensor, "b dim"], text: Float[Tensor, "b dim"], temperature: float) -> Tensor:
    """Symmetric InfoNCE over matching rows (CLIP); equal captions in a batch stay negatives, as in the original."""
    logits = image.float() @ text.float().T / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
