"""RaVL's region-aware loss: pull clean regions to their class, push spurious regions away from every class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import Batch, ImageObjective, clip_loss

NEGATIVE_INFINITY = float("-inf")


@dataclass(frozen=True)
class RegionAware(ImageObjective):
    """L = weight * L_CL + (1 - weight) * (L_R + L_A), RaVL Section 4.1 and Appendix C, equations 5 to 9.

    Parameters
    ----------
    weight : lambda, share of the CLIP loss; 0.8 in the paper
    reduction : ``"mean"`` over the images of a batch, or their ``"sum"`` as printed. At batch 128 the sum gives the
        region terms 128 times the CLIP loss's scale; on the demo's val it cost 33 points of image accuracy more
    labels : classes in the denominator of L_R: each class once (``"unique"``), or once per sample of the batch
        (``"samples"``, the literal reading, which floors the loss at the log of the duplicates)
    """

    weight: float = 0.8
    reduction: Literal["mean", "sum"] = "mean"
    labels: Literal["unique", "samples"] = "unique"
    uses_regions = True

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError("weight from 0 to 1", f"{self.weight}", "The paper uses 0.8.")
        if self.reduction not in ("sum", "mean") or self.labels not in ("unique", "samples"):
            raise InputError(
                "reduction sum or mean, labels unique or samples", f"{self.reduction!r}, {self.labels!r}", "Pick those."
            )

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"RaVL, region-aware": ()}

    @property
    def name(self) -> str:
        return "RaVL, region-aware"

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> dict[str, Tensor]:
        contrastive = clip_loss(image, batch.captions, batch.temperature)
        similarity = region.float() @ batch.classes.float().T / batch.temperature
        in_region, in_image, n_valid = region_losses(
            similarity, batch.image_of_region, batch.spurious, batch.labels, duplicates=self.labels == "samples"
        )
        if self.reduction == "mean":
            in_region, in_image = in_region / max(n_valid, 1), in_image / max(n_valid, 1)
        loss = self.weight * contrastive + (1 - self.weight) * (in_region + in_image)
        scale = max(n_valid, 1) if self.reduction == "sum" else 1
        # the terms are shown per image, so that curves of both reductions read alike
        return {"loss": loss, "clip": contrastive, "L_R": in_region / scale, "L_A": in_image / scale}


def region_losses(
    similarity: Float[Tensor, "n n_classes"],
    image_of_region: Int[Tensor, " n"],
    spurious: Bool[Tensor, " n"],
    labels: Int[Tensor, " b"],
    *,
    duplicates: bool = False,
) -> tuple[Tensor, Tensor, int]:
    """(sum of L_R, sum of L_A, number of images they cover), all in log space.

    An image counts when its caption names a class and at least one of its regions is not spurious. Spurious regions
    of every image of the batch stand in both denominators. With no image that counts, both sums are 0 with a gradient.

    Parameters
    ----------
    similarity : region-class cosine divided by the temperature
    labels : -1 for images without a class
    """
    n_images, n_classes = len(labels), similarity.shape[1]
    clean = ~spurious
    # M[i, c]: the best clean region of image i for class c; -inf where image i has none
    best = similarity.new_full((n_images, n_classes), NEGATIVE_INFINITY)
    index = image_of_region[clean][:, None].expand(-1, n_classes)
    best = best.scatter_reduce(0, index, similarity[clean], "amax", include_self=True)
    has_clean = torch.zeros(n_images, dtype=torch.bool, device=labels.device)
    has_clean[image_of_region[clean]] = True
    valid = has_clean & (labels >= 0)
    n_valid = int(valid.sum())
    if n_valid == 0:
        zero = similarity.sum() * 0
        return zero, zero, 0
    best, label = best[valid], labels[valid]
    present = labels[labels >= 0]  # also of images without a clean region: their class is in the batch
    if not duplicates:
        present = torch.unique(present)
    own = best.gather(1, label[:, None])[:, 0]
    # L_R: the image's clean regions against the classes of the batch, and every spurious region's closest class
    penalty = similarity[spurious][:, present].amax(1)
    against = torch.cat([best[:, present], penalty[None].expand(n_valid, -1)], dim=1)
    in_region = (torch.logsumexp(against, 1) - own).sum()
    # L_A: the class against clean regions of images of other classes, and every spurious region
    others = best[:, label].T  # [i, j] = M[j, label_i]
    same = label[:, None] == label[None]
    others = others.masked_fill(same, NEGATIVE_INFINITY)
    against = torch.cat([own[:, None], others, similarity[spurious][:, label].T], dim=1)
    in_image = (torch.logsumexp(against, 1) - own).sum()
    return in_region, in_image, n_valid
