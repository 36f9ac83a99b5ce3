"""The mean silhouette of labellings of the same regions, from one distance matrix."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int
from numba import njit, prange

from ravl_explore.clustering.parallel import KERNEL_LOCK, PARALLEL_WORK, WIDTH
from ravl_explore.errors import InputError


def silhouette(distance: Float32[np.ndarray, "n_regions n_regions"], labels: Int[np.ndarray, " n_regions"]) -> float:
    """Mean over regions of (b - a) / max(a, b), as ``sklearn.metrics.silhouette_score(metric="precomputed")``.

    a is a region's mean distance to the others of its cluster, b its mean distance to the nearest other cluster. A
    region alone in its cluster counts 0, as does one with a = b = 0. One O(n²) pass.

    Parameters
    ----------
    distance : Float32[np.ndarray, "n_regions n_regions"]
        Symmetric with a zero diagonal; no second matrix of its size is made.
    labels : Int[np.ndarray, "n_regions"]
        Cluster of each region.

    Returns
    -------
    float
        In ``[-1, 1]``, higher is better. Also defined where every region is alone (0), unlike in scikit-learn.

    Raises
    ------
    InputError
        If the shapes do not match or there are fewer than two clusters.

    References
    ----------
    Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20 (1987).

    Examples
    --------
    >>> points = np.array([0.0, 0.0, 1.0, 1.0], dtype=np.float32)
    >>> silhouette(np.abs(points[:, None] - points), np.array([0, 0, 1, 1]))
    1.0
    """
    labels = np.unique(labels, return_inverse=True)[1]
    return Silhouettes(distance, max_clusters=int(labels.max(initial=0)) + 1)(labels)


class Silhouettes:
    """Silhouettes of one labelling after another; a region costs O(n) only when its label changes.

    Parameters
    ----------
    distance : Float32[np.ndarray, "n_regions n_regions"]
        Symmetric with a zero diagonal.
    max_clusters : int
        Labels are below this. The sums kept take ``8 * max_clusters * n_regions`` bytes.
    """

    def __init__(self, distance: Float32[np.ndarray, "n_regions n_regions"], max_clusters: int) -> None:
        self._distance = distance
        self._labels = np.full(len(distance), -1, dtype=np.int64)
        self._total: Float64[np.ndarray, "max_clusters n_regions"] = np.zeros((max_clusters, len(distance)))

    def __call__(self, labels: Int[np.ndarray, " n_regions"]) -> float:
        """Return the mean silhouette of ``labels``, in ``[-1, 1]``; see :func:`silhouette`."""
        n_regions = len(labels)
        if self._distance.shape != (n_regions, n_regions):
            raise InputError(
                "one label for each row of a square distance matrix",
                f"{n_regions} labels for shape {self._distance.shape}",
                "Pass the labels of the same regions.",
            )
        labels = labels.astype(np.int64)
        sizes = np.bincount(labels, minlength=len(self._total))
        if np.count_nonzero(sizes) < 2:
            remedy = "A silhouette needs another cluster to compare with."
            raise InputError("at least two clusters", f"{np.count_nonzero(sizes)}", remedy)
        changed = np.flatnonzero(labels != self._labels)
        if len(changed) * n_regions < PARALLEL_WORK:
            _move_block(self._distance, 0, n_regions, changed, self._labels, labels, self._total)
        else:
            with KERNEL_LOCK:
                _move_blocks(self._distance, changed, self._labels, labels, self._total)
        self._labels = labels
        return float(_silhouettes(self._total, labels, sizes).mean())


@njit(cache=True, nogil=True)
@no_type_check
def _move_block(distance, start, stop, changed, old, new, total):
    """Move the changed regions from their old cluster's summed distances to their new one's, columns start to stop."""
    for o in changed:
        row, part = distance[o, start:stop], total[new[o], start:stop]
        for x in range(len(row)):
            part[x] += row[x]
        if old[o] >= 0:
            part = total[old[o], start:stop]
            for x in range(len(row)):
                part[x] -= row[x]


@njit(parallel=True, cache=True, nogil=True)
@no_type_check
def _move_blocks(distance, changed, old, new, total):
    """Do all blocks of columns, over all cores."""
    n_regions = len(distance)
    for block in prange((n_regions + WIDTH - 1) // WIDTH):
        start, stop = block * WIDTH, min(block * WIDTH + WIDTH, n_regions)
        _move_block(distance, start, stop, changed, old, new, total)


@njit(cache=True, nogil=True)
@no_type_check
def _silhouettes(total, labels, sizes):
    """Silhouette of each region, from its summed distances to each cluster."""
    n_clusters, n_regions = total.shape
    outside = np.full(n_regions, np.inf)
    for c in range(n_clusters):
        if sizes[c] > 0:
            row = total[c]
            for i in range(n_regions):
                mean = row[i] / sizes[c]
                if labels[i] != c and mean < outside[i]:
                    outside[i] = mean
    samples = np.zeros(n_regions)
    for i in range(n_regions):
        own = labels[i]
        if sizes[own] > 1:
            inside = total[own, i] / (sizes[own] - 1)
            largest = max(inside, outside[i])
            if largest > 0.0:
                samples[i] = (outside[i] - inside) / largest
    return samples
