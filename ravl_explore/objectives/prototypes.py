"""Prototypes: what images or regions without and with the feature look like on average, whatever their class."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.objectives.base import Start
from ravl_explore.objectives.losses import single

MOST_IMAGES = 2000  # looked at for prototypes, evenly from all groups: a mean needs no more
FEWEST_PER_GROUP = 4


def prototypes(
    embedding: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], shows: Bool[Tensor, " n"]
) -> Float[Tensor, "2 dim"] | None:
    """Unit-norm means of the embeddings that do not show the feature, and of those that do; None if either is empty.

    Means of class means, over the classes that have both; plain means where no class has.

    Parameters
    ----------
    embedding : Float[Tensor, "n dim"]
        Unit-norm, of images or regions.
    labels : Int[Tensor, " n"]
        -1 where there is no class.
    shows : Bool[Tensor, " n"]
        Whether it shows the feature.
    """
    if not shows.any() or shows.all():
        return None
    embedding = single(embedding)
    means = [
        torch.stack([embedding[(labels == y) & (shows == side)].mean(0) for side in (False, True)])
        for y in labels[labels >= 0].unique()
        if len(shows[labels == y].unique()) == 2
    ]
    if not means:
        means = [torch.stack([embedding[~shows].mean(0), embedding[shows].mean(0)])]
    return normalize(torch.stack(means).mean(0), dim=1)


def seen(start: Start, regions: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, labels and whether they show the feature, as the model sees the data before the first step.

    Parameters
    ----------
    start : Start
        The fine-tuning data; of its images as many from every group.
    regions : bool
        Of the images' regions, else of the images.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, region, batch in start.embedded(spread(start.labels, start.present), regions):
        if regions:
            parts.append((region, batch.labels[batch.image_of_region], batch.spurious))
        else:
            parts.append((image, batch.labels, batch.present))
    embedding, labels, shows = zip(*parts, strict=True)
    return torch.cat(embedding), torch.cat(labels), torch.cat(shows)


def spread(labels: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Indices of about 2000 images, as many of each group (class, feature present), evenly over its places.

    Parameters
    ----------
    labels : Int[np.ndarray, " n_images"]
    present : Bool[np.ndarray, " n_images"]
        Whether the feature is there.
    """
    group = labels * 2 + present
    groups = np.unique(group)
    most = max(FEWEST_PER_GROUP, MOST_IMAGES // len(groups))
    places = [np.flatnonzero(group == number) for number in groups]
    return np.sort(np.concatenate([p[np.linspace(0, len(p) - 1, min(len(p), most)).astype(np.int64)] for p in places]))
