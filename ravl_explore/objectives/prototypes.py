"""Prototypes: what images or regions without and with the feature look like on average, whatever their class."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.objectives.base import Start, single

MOST_IMAGES = 2000  # looked at for prototypes, evenly from all groups: a mean needs no more
FEWEST_PER_GROUP = 4


def prototypes(
    embedding: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], shows: Bool[Tensor, " n"]
) -> Float[Tensor, "2 dim"] | None:
    """Unit-norm means of the embeddings that do not show the feature, and of those that do; None if either is empty.

    Means of class means, over the classes that have both; plain means where no class has.
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
    """Embeddings, labels and whether they show the feature: of images evenly from all groups, or of their regions."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, region, batch in start.embedded(spread(start.labels, start.present), regions):
        if regions:
            found.append((region, batch.labels[batch.image_of_region], batch.spurious))
        else:
            found.append((image, batch.labels, batch.present))
    embedding, labels, shows = zip(*found, strict=True)
    return torch.cat(embedding), torch.cat(labels), torch.cat(shows)


def spread(labels: np.ndarray, present: np.ndarray) -> np.ndarray:
    """About 2000 images, as many of each group (class, feature present) where it has them, evenly over its places."""
    group = labels * 2 + present
    found = np.unique(group)
    most = max(FEWEST_PER_GROUP, MOST_IMAGES // len(found))
    places = [np.flatnonzero(group == g) for g in found]
    return np.sort(np.concatenate([p[np.linspace(0, len(p) - 1, min(len(p), most)).astype(np.int64)] for p in places]))
