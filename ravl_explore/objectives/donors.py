"""Donors: crops that show a discovered feature, kept to be pasted into other images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import Batch, Start
from ravl_explore.objectives.blending import whole_pixels

Donors = dict[int, list[Tensor]]
From = Literal["any", "typical"]
Clusters = Literal["together", "apart"]
TYPICAL = 1 / 4  # of the crops are typical
MOST_DONORS = 256  # of each feature: of 100 x 100 pixels, 31 MB
MOST_IMAGES = 1024  # that crops are cut from


def feature_of(batch: Batch, clusters: Clusters) -> Int[Tensor, " n"]:
    """Which feature each region shows, -1 for none.

    Parameters
    ----------
    batch : Batch
        Whose regions.
    clusters : {"together", "apart"}
        Together, all chosen clusters are feature 0; apart, each is the feature of its number.

    Raises
    ------
    InputError
        For ``"apart"`` where the batch does not tell features apart.
    """
    if clusters == "together":
        return torch.where(batch.spurious, 0, -1)
    if batch.part is None:
        raise InputError(
            'regions with the number of their feature, for clusters="apart"',
            "an assignment without it",
            'Assign the fine-tuning data again with assign(), or use clusters="together".',
        )
    return torch.where(batch.spurious, batch.part, -1)


def gathered(start: Start, which: From, clusters: Clusters) -> Donors:
    """Crops from the whole fine-tuning data, so that a rare feature has donors in every batch.

    Parameters
    ----------
    start : Start
        The fine-tuning data.
    which, clusters : str
        As of :func:`crops`.
    """
    images = np.flatnonzero(start.present)
    images = images[_evenly(len(images), MOST_IMAGES)]
    return crops((batch for _, _, batch in start.embedded(images, False)), which, clusters)


def crops(batches: Iterable[Batch], which: From, clusters: Clusters) -> Donors:
    """At most ``MOST_DONORS`` crops of each feature, by its number.

    Parameters
    ----------
    batches : iterable of Batch
        What they are cut from.
    which : {"any", "typical"}
        Evenly from all of them, or from those most similar to the feature's medoid.
    clusters : {"together", "apart"}
        As of :func:`feature_of`.

    Raises
    ------
    InputError
        For ``"typical"`` where the batches do not say how similar regions are.
    """
    cut: dict[int, list[tuple[float, Tensor]]] = {}
    for batch in batches:
        if which == "typical" and batch.similarity is None:
            raise InputError(
                'regions with their similarity to the feature, for donors="typical"',
                "an assignment without it",
                'Assign the fine-tuning data again with assign(), or use donors="any".',
            )
        feature = feature_of(batch, clusters).tolist()
        for row in torch.nonzero(batch.spurious)[:, 0].tolist():
            x1, y1, x2, y2 = whole_pixels(batch.boxes[row], batch.pixels.shape[-1])
            crop = batch.pixels[int(batch.boxes[row, 0]), :, y1:y2, x1:x2].cpu().clone()
            similarity = 0.0 if batch.similarity is None else float(batch.similarity[row])
            cut.setdefault(feature[row], []).append((similarity, crop))
    return {number: _chosen(cut[number], which) for number in sorted(cut)}


def _chosen(candidates: list[tuple[float, Tensor]], which: From) -> list[Tensor]:
    if which == "typical":
        best_first = sorted(range(len(candidates)), key=lambda i: (-candidates[i][0], i))
        rows = best_first[: min(max(1, round(TYPICAL * len(candidates))), MOST_DONORS)]
    else:
        rows = _evenly(len(candidates), MOST_DONORS).tolist()
    return [candidates[row][1] for row in rows]


def _evenly(n: int, most: int) -> np.ndarray:
    """At most ``most`` of the numbers below n, evenly spaced.

    Examples
    --------
    >>> _evenly(10, 4).tolist(), _evenly(2, 4).tolist()
    ([0, 2, 5, 7], [0, 1])
    """
    return np.arange(n) if n <= most else np.arange(most) * n // most
