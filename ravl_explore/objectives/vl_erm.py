"""VL-ERM: CLIP's loss, and the cross-entropy of the zero-shot classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ravl_explore.objectives.base import Batch, ClassText, EqualCaptions, Values
from ravl_explore.objectives.groups import balanced
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.objectives.losses import class_losses
from ravl_explore.objectives.shared_options import check_share, check_texts
from ravl_explore.support import checks


@dataclass(frozen=True)
class VlErm(ImageObjective):
    """L = weight * L_CL + (1 - weight) * L_ERM, RaVL Appendix D.2.

    L_ERM is the cross-entropy of softmax(z_I · G(Y) / temperature) at the image's label, averaged over the images of
    the batch that have one; 0 where none has.

    Parameters
    ----------
    weight : float, 0 to 1
        Lambda, share of the CLIP loss; 0.8 in the paper.
    upsample : bool
        Whether groups (class, feature present) are drawn equally often, as in the paper.
    class_text : {"prompts", "names"}
        Class names in the dataset's prompts, so that training sees the classes that zero-shot will use, or bare; the
        paper says "text embeddings of class labels".
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are; negatives as in CLIP.
    """

    weight: float = 0.8
    upsample: bool = True
    class_text: ClassText = "prompts"
    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        check_share(self.weight)
        checks.flag("upsample", self.upsample)
        check_texts(self.class_text, self.equal_captions)

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"VL-ERM, class labels": ()}

    @property
    def name(self) -> str:
        return "VL-ERM, class labels"

    def sample_weights(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray | None:
        return balanced(labels, present) if self.upsample else None

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        contrastive, losses = self.contrastive(image, batch), class_losses(image, batch)
        classes = losses.sum() / max(len(losses), 1)
        loss = self.weight * contrastive + (1 - self.weight) * classes
        return {"loss": loss, "clip": contrastive, "L_ERM": classes}
