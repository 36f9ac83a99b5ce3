"""The silhouette of any number of regions: exact, without the distance between any two of them."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int, Real
from numba import njit

from ravl_explore.clustering.chunks import Step, blocks
from ravl_explore.errors import InputError

NOISE = np.float32(1e-6)
"""How far a float32 product of 512 dimensions may be off; smaller distances count as none."""


def cosine_silhouette(
    embeddings: Real[np.ndarray, "n_regions dim"],
    labels: Int[np.ndarray, " n_regions"],
    *,
    sample_size: int | None = None,
    seed: int = 0,
    step: Step | None = None,
) -> tuple[float, float]:
    """Mean silhouette by cosine distance, as :func:`silhouette` has it, and its standard error.

    Cosine distance is linear in each of its arguments, so the mean distance of a region to a cluster is one minus its
    product with the cluster's mean vector: one n x dim x k product in place of n² distances. For its own cluster,
    the region's product with itself is taken out again.

    Parameters
    ----------
    embeddings : real array (n_regions, dim)
        Unit vectors, memory-mapped or not.
    labels : int array (n_regions,)
        Cluster of each region, from 0 up.
    sample_size : int, optional
        Average over this many regions, drawn by ``seed`` (each still against all others); by default over all.
    seed : int
        Of the sample.
    step : callable, optional
        Told the rows done: those of the mean vectors' pass, then those of the second pass, 2 n_regions in the end.

    Returns
    -------
    (silhouette, standard error)
        The error of drawing, without replacement; 0 where all regions are used.

    Raises
    ------
    InputError
        If there are fewer than two clusters, or the sample has fewer than two regions.

    Examples
    --------
    >>> z = np.repeat(np.eye(2), 2, axis=0)
    >>> cosine_silhouette(z, np.array([0, 0, 1, 1]))
    (1.0, 0.0)
    """
    sizes = np.bincount(labels)
    if np.count_nonzero(sizes) < 2:
        remedy = "A silhouette needs another cluster to compare with."
        raise InputError("at least two clusters", f"{np.count_nonzero(sizes)}", remedy)
    if sample_size is not None and sample_size < 2:
        raise InputError("at least 2 regions to average over", f"{sample_size}", "Leave it out to take all.")
    n_regions = len(labels)
    mean = _sums(embeddings, labels, len(sizes), step) / np.maximum(sizes, 1)[:, None]
    centre = mean.astype(np.float32).T
    rows = None
    if sample_size is not None and sample_size < n_regions:
        rows = np.sort(np.random.default_rng(seed).choice(n_regions, sample_size, replace=False))
        embeddings, labels = embeddings[rows], labels[rows]
    values = np.empty(len(labels))
    for start, block in blocks(embeddings, None if step is None else lambda done: step(n_regions + done)):
        here = slice(start, start + len(block))
        own = np.einsum("ij,ij->i", block, block)
        _silhouettes(block @ centre, own, labels[here], sizes, NOISE, values[here])
    if rows is None:
        return float(values.mean()), 0.0
    unseen = 1 - len(values) / n_regions
    return float(values.mean()), float(np.sqrt(values.var(ddof=1) / len(values) * unseen))


def _sums(
    embeddings: np.ndarray, labels: np.ndarray, n_clusters: int, step: Step | None
) -> Float64[np.ndarray, "n_clusters dim"]:
    """Sum of each cluster's vectors, row after row, so that it does not depend on the blocks."""
    total = np.zeros((n_clusters, embeddings.shape[1]))
    for start, block in blocks(embeddings, step):
        _add_rows(block, labels[start : start + len(block)], total)
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _add_rows(block, labels, total):
    """Add each row to its cluster's sum."""
    for i in range(len(block)):
        row, part = block[i], total[labels[i]]
        for j in range(len(row)):
            part[j] += row[j]


@njit(cache=True, nogil=True)
@no_type_check
def _silhouettes(similarity, own, labels, sizes, noise, values):
    """Silhouette of each row, from its products with the clusters' means and with itself."""
    for i in range(len(similarity)):
        row, label = similarity[i], labels[i]
        outside = np.inf
        for c in range(len(row)):
            if c != label and sizes[c] > 0:
                outside = min(outside, 1.0 - row[c])
        values[i] = 0.0
        if sizes[label] > 1:
            inside = 1.0 - (sizes[label] * np.float64(row[label]) - own[i]) / (sizes[label] - 1)
            inside = inside if inside > noise else 0.0
            outside = outside if outside > noise else 0.0
            if inside > 0.0 or outside > 0.0:
                values[i] = (outside - inside) / max(inside, outside)
