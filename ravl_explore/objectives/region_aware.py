"""RaVL's region-aware loss: pull clean regions to their class, push spurious regions away from every class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.objectives.base import Batch, ClassText, EqualCaptions, Values
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.objectives.losses import logits, single
from ravl_explore.objectives.shared_options import check_share, check_texts
from ravl_explore.support import checks

NEGATIVE_INFINITY = float("-inf")
Duplicates = Literal["unique", "samples"]


@dataclass(frozen=True)
class RegionAware(ImageObjective):
    """L = weight * L_CL + (1 - weight) * (L_R + L_A), RaVL Section 4.1 and Appendix C, equations 5 to 9.

    No code was published for it, and the paper leaves some readings open; each is an option here.

    Parameters
    ----------
    weight : float, 0 to 1
        Lambda, share of the CLIP loss; 0.8 in the paper.
    reduction : {"mean", "sum"}
        Over the images that have a class and a clean region; the sum is as printed. At batch 128 the sum gives the
        region terms 128 times the CLIP loss's scale; on the demo's val it cost 33 points of image accuracy more.
    duplicates : {"unique", "samples"}
        The sum over ŷ_j in B in the denominator of L_R: each class of the batch once, or once per sample (the literal
        reading). Then the positive stands in its own denominator as often as its class is in the batch, and L_R of 13
        images of one class can never be below log 13.
    max_spurious : int of 0 or more, or None
        How many spurious regions of a batch count at most, drawn at random; None, as printed: all. They add about
        log |P| to every L_R, which swamps the rest where a proposer gives a hundred boxes an image. Those left out are
        not embedded.
    class_text : {"prompts", "names"}
        Class names in the dataset's prompts, so that training sees the classes that zero-shot will use, or bare; the
        paper writes g(ŷ) for the label's text embedding and says no more.
    equal_captions : {"negatives", "positives"}
        What equal captions of other images are in L_CL; negatives as in CLIP's loss, which the paper takes. With
        captions from a template most of a batch are equal.

    Not options, as the equations decide them or no other reading works: P holds the spurious regions of all images of
    the batch, also of the image itself, of its class, and of images without a class (equation 6's union is over the
    batch); an image whose regions are all spurious has no maximum over clean ones, so it adds only to P; an image
    without a class is left to L_CL. Whether BatchNorm's statistics move is a setting of the trainer
    (``freeze_batch_norm``).
    """

    weight: float = 0.8
    reduction: Literal["mean", "sum"] = "mean"
    duplicates: Duplicates = "unique"
    max_spurious: int | None = None
    class_text: ClassText = "prompts"
    equal_captions: EqualCaptions = "negatives"
    uses_regions = True

    def __post_init__(self) -> None:
        check_share(self.weight)
        checks.one_of("reduction", self.reduction, ("mean", "sum"))
        checks.one_of("duplicates", self.duplicates, ("unique", "samples"))
        check_texts(self.class_text, self.equal_captions)
        if self.max_spurious is not None:
            checks.whole("max_spurious", self.max_spurious, 0, remedy="None lets all count.")

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"RaVL, region-aware": ()}

    @property
    def name(self) -> str:
        return "RaVL, region-aware"

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Without the spurious regions that ``max_spurious`` leaves out."""
        spurious = torch.nonzero(batch.spurious)[:, 0]
        if self.max_spurious is None or len(spurious) <= self.max_spurious:
            return batch
        keep = torch.ones(len(batch.spurious), dtype=torch.bool)
        keep[spurious[torch.randperm(len(spurious), generator=generator)[self.max_spurious :]]] = False
        of_regions = {name: getattr(batch, name) for name in ("boxes", "spurious", "core", "part", "similarity")}
        return replace(batch, **{name: value[keep] for name, value in of_regions.items() if value is not None})

    def __call__(self, image: Tensor, region: Tensor, batch: Batch) -> Values:
        contrastive = self.contrastive(image, batch)
        similarity = logits(region, batch.classes, batch.temperature)
        in_region, in_image, n_valid = region_losses(
            similarity, batch.image_of_region, batch.spurious, batch.labels, duplicates=self.duplicates
        )
        if self.reduction == "mean":
            in_region, in_image = in_region / max(n_valid, 1), in_image / max(n_valid, 1)
        loss = self.weight * contrastive + (1 - self.weight) * (in_region + in_image)
        scale = max(n_valid, 1) if self.reduction == "sum" else 1
        # the terms are shown per image, so that curves of both reductions read alike
        terms = {"loss": loss, "clip": contrastive, "L_R": in_region / scale, "L_A": in_image / scale}
        return {**terms, "images with region losses": float(n_valid), "spurious regions": float(batch.spurious.sum())}


def region_losses(
    similarity: Float[Tensor, "n n_classes"],
    image_of_region: Int[Tensor, " n"],
    spurious: Bool[Tensor, " n"],
    labels: Int[Tensor, " b"],
    *,
    duplicates: Duplicates = "unique",
) -> tuple[Tensor, Tensor, int]:
    """L_R and L_A of a batch, in log space and at least float32.

    An image counts when its caption names a class and at least one of its regions is not spurious. Spurious regions
    of every image of the batch stand in both denominators. With no image that counts, both sums are 0 with a gradient.

    Parameters
    ----------
    similarity : Float[Tensor, "n n_classes"]
        Cosine of each region and class, divided by the temperature.
    image_of_region : Int[Tensor, " n"]
        Place of each region's image in the batch.
    spurious : Bool[Tensor, " n"]
        Whether the region shows the feature.
    labels : Int[Tensor, " b"]
        Class of each image, -1 for those without one.
    duplicates : {"unique", "samples"}
        Whether a class stands in L_R's denominator once, or once per sample of the batch.

    Returns
    -------
    tuple of Tensor, Tensor and int
        The sum of L_R, the sum of L_A, and the number of images they cover.
    """
    similarity = single(similarity)
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
    if duplicates == "unique":
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
