"""Spurious-Aware mitigation: CLIP's loss, one loss that sorts images by class, one that tells the feature apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import Batch, EqualCaptions, Start, Values
from ravl_explore.objectives.image_objective import ImageObjective, Run
from ravl_explore.objectives.losses import logits, single
from ravl_explore.objectives.prototypes import prototypes, seen
from ravl_explore.support import checks

StandIn = Literal["images", "regions", "text", "batch"]


@dataclass(frozen=True)
class SpuriousAware(ImageObjective):
    """L = L_CL + class_weight * L_vc + spurious_weight * L_vs: the image losses of Yang et al. (ICML 2023).

    As RaVL uses it (Appendix D.2), with a frozen text tower, so without the two language losses. With z the unit-norm
    embeddings of the b images of a batch that have a class:

    L_vc = mean over i of (-1/b sum_j cos(z_i, z_j) [y_i = y_j] + 1/b sum_j cos(z_i, z_j) [y_i ≠ y_j]); j = i counts.
    L_vs = cross-entropy of softmax(z_i · t / temperature) at a_i, whether image i shows the feature; t are two
    embeddings, of the feature's absence and presence, averaged over all images of the batch.

    The original takes t from texts such as "bird on land". RaVL finds a cluster, which has no text, and does not say
    what it took instead.

    Parameters
    ----------
    class_weight, spurious_weight : float of 0 or more
        1 in the original's code.
    stand_in : {"images", "regions", "text", "batch"}
        Where t is from.
        ``"images"``: mean embeddings of the fine-tuning images without and with the cluster, by the model as
        it was before, kept fixed as the original's texts are. They are means of class means over the classes that have
        both, because a cluster goes with a class, and plain means would tell the class and not the cluster.
        ``"regions"``: the same of regions outside and inside the cluster; nearer to what was found, but images lie
        elsewhere in the space than small regions.
        ``"text"``: ``descriptions``, in the dataset's prompts; the original, where one can say what the cluster shows.
        ``"batch"``: as ``"images"``, from each batch's own embeddings without gradient; they follow the model, and cost
        no look at the data before the first step.
    descriptions : tuple of two str, or None
        Of an image without the feature and with it, such as ("street", "street with a car"), for ``"text"``.
    equal_captions : {"negatives", "positives"}
        What equal captions of other images of the batch are; negatives as in CLIP.
    """

    class_weight: float = 1.0
    spurious_weight: float = 1.0
    stand_in: StandIn = "images"
    descriptions: tuple[str, str] | None = None
    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        for name in ("class_weight", "spurious_weight"):
            checks.number(name, getattr(self, name), 0, remedy="The original uses 1.")
        checks.one_of("stand_in", self.stand_in, ("images", "regions", "text", "batch"))
        checks.one_of("equal_captions", self.equal_captions, ("negatives", "positives"))
        given = self.descriptions
        if given is not None and len(checks.texts("descriptions", given)) != 2:
            raise InputError("two descriptions", f"{given!r}", 'Give ("street", "street with a car").')
        if (self.stand_in == "text") != (given is not None):
            raise InputError(
                "descriptions together with stand_in='text'",
                f"descriptions={given!r} with stand_in={self.stand_in!r}",
                'Give both: stand_in="text", descriptions=("street", "street with a car").',
            )

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Spurious-Aware, image losses": ()}

    @property
    def name(self) -> str:
        return "Spurious-Aware, image losses"

    def begin(self, start: Start) -> SpuriousAwareRun:
        if self.stand_in == "batch":
            return SpuriousAwareRun(self, None)
        if self.stand_in == "text":
            return SpuriousAwareRun(self, start.embed_prompts(self.descriptions or ()))
        return SpuriousAwareRun(self, prototypes(*seen(start, self.stand_in == "regions")))

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        """One step with t from the batch's own images, whatever ``stand_in`` says: only a run has seen the data."""
        return self.values(image, batch, prototypes(image.detach(), batch.labels, batch.present))

    def values(self, image: Tensor, batch: Batch, stand_in: Float[Tensor, "2 dim"] | None) -> Values:
        """The loss and its terms for a given t.

        Parameters
        ----------
        image : Float[Tensor, "b dim"]
            Unit-norm embeddings.
        batch : Batch
            What was embedded.
        stand_in : Float[Tensor, "2 dim"] or None
            t; without it, as when every image shows the feature, L_vs is 0.
        """
        contrastive, of_class = self.contrastive(image, batch), class_contrast(image, batch.labels)
        if stand_in is None:
            of_feature = single(image).sum() * 0
        else:
            of_feature = cross_entropy(logits(image, stand_in, batch.temperature), batch.present.long())
        loss = contrastive + self.class_weight * of_class + self.spurious_weight * of_feature
        return {"loss": loss, "clip": contrastive, "L_vc": of_class, "L_vs": of_feature}


class SpuriousAwareRun(Run):
    """Spurious-Aware with what stands in for the spurious texts in one run.

    Parameters
    ----------
    objective : SpuriousAware
        Its settings.
    stand_in : Float[Tensor, "2 dim"] or None
        Unit-norm embeddings of the feature's absence and presence; None where there are none.
    """

    def __init__(self, objective: SpuriousAware, stand_in: Float[Tensor, "2 dim"] | None) -> None:
        super().__init__(objective)
        self.settings, self.stand_in = objective, stand_in

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        if self.settings.stand_in == "batch":
            return self.settings(image, region, batch)
        return self.settings.values(image, batch, self.stand_in)

    def state(self) -> dict[str, Tensor]:
        return {} if self.stand_in is None else {"stand_in": self.stand_in.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.stand_in = state["stand_in"].clone() if "stand_in" in state else None


def class_contrast(image: Float[Tensor, "b dim"], labels: Int[Tensor, " b"]) -> Tensor:
    """L_vc over the images that have a class; 0 where none has.

    Parameters
    ----------
    image : Float[Tensor, "b dim"]
        Unit-norm embeddings.
    labels : Int[Tensor, " b"]
        -1 where there is no class.

    Examples
    --------
    >>> float(class_contrast(torch.eye(2), torch.tensor([0, 1])))  # each is like itself: -1/2
    -0.5
    """
    image, labels = image[labels >= 0], labels[labels >= 0]
    cosine = logits(image, image, 1.0)
    sign = torch.where(labels[:, None] == labels[None], -1.0, 1.0).to(cosine)
    return (sign * cosine).sum() / max(len(labels), 1) ** 2
