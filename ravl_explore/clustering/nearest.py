"""The nearest medoid of every region, found in one pass over embeddings that need not fit in memory."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Int, Int64, Real
from numba import njit

from ravl_explore.clustering.chunks import Step, as_single, blocks


def nearest_medoid(
    embeddings: Real[np.ndarray, "n_regions dim"], medoids: Int[np.ndarray, " n_clusters"], step: Step | None = None
) -> tuple[Int64[np.ndarray, " n_regions"], float]:
    """Cluster of each region, and the loss: the summed cosine distance of each region to its medoid.

    One n x dim x k product, a block of rows at a time. The first medoid wins ties; a medoid is always in its own
    cluster, even if it has an identical twin, so no cluster is empty.

    Parameters
    ----------
    embeddings : real array (n_regions, dim)
        Unit vectors, memory-mapped or not.
    medoids : int array (n_clusters,)
        Region index of each medoid, no two alike.
    step : callable, optional
        Told the rows done, block after block; may raise ``Cancelled``.

    Examples
    --------
    >>> z = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=np.float32)
    >>> labels, loss = nearest_medoid(z, np.array([0, 2]))
    >>> labels.tolist(), round(loss, 6)
    ([0, 1, 1], 0.2)
    """
    centre = as_single(embeddings[medoids])
    _, first, copy_of = np.unique(centre, axis=0, return_index=True, return_inverse=True)
    first = np.sort(first)  # only the first of identical medoids: rounding must not choose between them
    centre = np.ascontiguousarray(centre[first].T) if len(first) < len(copy_of.ravel()) else centre.T
    labels = np.empty(len(embeddings), np.int64)
    nearest = np.empty(len(embeddings), np.float32)
    for start, block in blocks(embeddings, step):
        stop = start + len(block)
        _nearest(block @ centre, first, labels[start:stop], nearest[start:stop])
    labels[medoids], nearest[medoids] = np.arange(len(medoids)), 0.0
    return labels, float(nearest.sum(dtype=np.float64))


@njit(cache=True, nogil=True)
@no_type_check
def _nearest(similarity, names, labels, distance):
    """The name of the most similar column, the first of a tie, and one minus its similarity, for each row."""
    for i in range(len(similarity)):
        row = similarity[i]
        best = 0
        for c in range(1, len(row)):
            if row[c] > row[best]:
                best = c
        labels[i] = names[best]
        distance[i] = min(max(np.float32(1.0) - row[best], np.float32(0.0)), np.float32(2.0))
