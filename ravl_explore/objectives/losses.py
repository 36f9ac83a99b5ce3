"""Losses that several objectives share, in float32 at least: CLIP's own, and the cross-entropy of the classes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from ravl_explore.objectives.base import Batch, EqualCaptions


def logits(rows: Float[Tensor, "n dim"], columns: Float[Tensor, "m dim"], temperature: float) -> Float[Tensor, "n m"]:
    """Cosines over the temperature; in float32 under autocast too, as half precision overflows.

    Parameters
    ----------
    rows, columns : Tensor
        Unit-norm embeddings (n, dim) and (m, dim).
    temperature : float
        Above 0.
    """
    with torch.autocast(rows.device.type, enabled=False):
        return single(rows) @ single(columns).to(single(rows).dtype).T / temperature


def single(values: Tensor) -> Tensor:
    """In float32, or float64 where it is that already.

    Parameters
    ----------
    values : Tensor
        Of any shape and precision.
    """
    return values if values.dtype == torch.float64 else values.float()


def clip_loss(
    image: Float[Tensor, "b dim"],
    text: Float[Tensor, "b dim"],
    temperature: float,
    equal_captions: EqualCaptions = "negatives",
) -> Tensor:
    """Symmetric InfoNCE over matching rows (CLIP).

    Parameters
    ----------
    image, text : Float[Tensor, "b dim"]
        Unit-norm embeddings of images and of their captions.
    temperature : float
        Above 0.
    equal_captions : {"negatives", "positives"}
        Equal captions in a batch stay each other's negatives, as in the original; as positives they share an image's
        target evenly.
    """
    similarity = logits(image, text, temperature)
    target = torch.arange(len(similarity), device=similarity.device)
    if equal_captions == "positives":
        same = (text[:, None] == text[None]).all(2).to(similarity.dtype)
        target = same / same.sum(1, keepdim=True)
    return (cross_entropy(similarity, target) + cross_entropy(similarity.T, target)) / 2


def class_losses(image: Float[Tensor, "b dim"], batch: Batch) -> Float[Tensor, " n_labelled"]:
    """Cross-entropy of zero-shot classification for each image that has a label, in the batch's order.

    Parameters
    ----------
    image : Float[Tensor, "b dim"]
        Unit-norm embeddings of the batch's images.
    batch : Batch
        Labels, classes and temperature.
    """
    labelled = batch.labels >= 0
    similarity = logits(image, batch.classes, batch.temperature)
    return cross_entropy(similarity[labelled], batch.labels[labelled], reduction="none")
