"""Which medoids are the same point: black borders and identical crops are many regions, but one place to stand."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Int64, Real

from ravl_explore.clustering.cosine_silhouette import NOISE
from ravl_explore.errors import InputError


def first_alike(rows: Real[np.ndarray, "n dim"]) -> Int64[np.ndarray, " n"]:
    """For each row, the first that is the same up to rounding (a cosine distance of 1e-6): often itself.

    Parameters
    ----------
    rows : Real[np.ndarray, "n dim"]
        Of any length but zero.

    Examples
    --------
    >>> first_alike(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist()
    [0, 1, 0]
    """
    wide = np.asarray(rows, np.float64)
    wide = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    alike = 1 - wide @ wide.T <= NOISE
    first = np.arange(len(rows))
    for row in np.flatnonzero(alike.argmax(1) < first).tolist():
        leaders = np.flatnonzero(alike[row, :row] & (first[:row] == np.arange(row)))
        first[row] = leaders[0] if len(leaders) else row
    return first


def merge_alike(
    embeddings: Real[np.ndarray, "n_regions dim"],
    labels: Int64[np.ndarray, " n_regions"],
    medoids: Int64[np.ndarray, " n_clusters"],
) -> tuple[Int64[np.ndarray, " n_regions"], Int64[np.ndarray, " n_kept"]]:
    """Labels and medoids with clusters put together whose medoids are the same point; as they were where none are.

    Parameters
    ----------
    embeddings : Real[np.ndarray, "n_regions dim"]
        Region embeddings, of unit norm.
    labels : Int64[np.ndarray, "n_regions"]
        Cluster of each region.
    medoids : Int64[np.ndarray, "n_clusters"]
        Region index of each cluster's medoid.

    Raises
    ------
    InputError
        When all medoids are one point.
    """
    first = first_alike(embeddings[medoids])
    kept = np.flatnonzero(first == np.arange(len(first)))
    if len(kept) == len(medoids):
        return labels, medoids
    if len(kept) < 2:
        raise InputError(
            "at least two regions that differ",
            f"{len(embeddings):,} that are all the same",
            "Look at the images, or choose another grid or detector.",
        )
    return np.searchsorted(kept, first)[labels], medoids[kept]


def warn_of_fewer(asked: int, made: int) -> None:
    """Say that there are fewer clusters than asked for, since no more regions differ.

    Parameters
    ----------
    asked : int
        How many clusters were asked for.
    made : int
        How many were made.
    """
    warnings.warn(
        f"{made} clusters were made, not {asked}: only so many regions differ, the others are copies of them.",
        stacklevel=3,
    )
