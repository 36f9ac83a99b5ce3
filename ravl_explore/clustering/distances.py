"""Cosine distances between regions: the checked embeddings, the one matrix, and the summed loss."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int

from ravl_explore.errors import InputError

NORM_TOLERANCE = 1e-3
"""How far a norm may be from 1: room for embeddings that were stored as float16."""

ROWS = 64
"""Rows of the matrix worked on at a time, few enough to stay in cache."""


def check_embeddings(embeddings: np.ndarray) -> Float32[np.ndarray, "n_regions dim"]:
    """Return ``embeddings`` as contiguous float32 after checking that they are 2-D, finite and of unit norm.

    Parameters
    ----------
    embeddings : np.ndarray, shape (n_regions, dim)
        One unit vector per region.

    Raises
    ------
    InputError
        If the array is not 2-D and numeric, is empty, holds NaN or infinity, or has a row whose norm is not 1
        (within ``NORM_TOLERANCE``).

    Examples
    --------
    >>> check_embeddings(np.eye(2)).dtype
    dtype('float32')
    >>> check_embeddings(2 * np.eye(2))
    Traceback (most recent call last):
    ravl_explore.errors.InputError: Expected embeddings of unit norm, got 2 of 2 rows with another norm, first row 0 \
with norm 2. Divide each row by its norm.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise InputError(
            "embeddings as a real array of shape (n_regions, dim)",
            f"shape {embeddings.shape} of {embeddings.dtype}",
            "Pass one embedding a row.",
        )
    if embeddings.size == 0:
        raise InputError("at least one region embedding", f"shape {embeddings.shape}", "Check that regions were made.")
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if bad.size:
        raise InputError(
            "finite embeddings",
            f"{bad.size} of {len(embeddings)} rows with NaN or infinity, first row {bad[0]}",
            "Check the model and the boxes of those regions, or drop them.",
        )
    norm = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    bad = np.flatnonzero(np.abs(norm - 1) > NORM_TOLERANCE)
    if bad.size:
        raise InputError(
            "embeddings of unit norm",
            f"{bad.size} of {len(embeddings)} rows with another norm, first row {bad[0]} with norm {norm[bad[0]]:.4g}",
            "Divide each row by its norm.",
        )
    return embeddings


def cosine_distance(
    embeddings: np.ndarray, max_distance: float = 2.0, max_bytes: int | None = None
) -> Float32[np.ndarray, "n_regions n_regions"]:
    """Distance 1 - Z Zᵀ between all regions, with an exactly zero diagonal.

    The matrix is filled in place, so that only one array of this size is ever alive.

    Parameters
    ----------
    embeddings : np.ndarray, shape (n_regions, dim)
        Unit vectors; checked by :func:`check_embeddings`.
    max_distance : float
        Upper clip. 2 keeps cosine distance as it is; RaVL's released code uses 1, which makes all regions with a
        negative similarity equally far.
    max_bytes : int, optional
        The most memory the matrix may take; by default what the machine has free.

    Raises
    ------
    InputError
        If the embeddings are wrong, or the matrix does not fit in memory.

    Examples
    --------
    >>> cosine_distance(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    embeddings = check_embeddings(embeddings)
    n_regions = len(embeddings)
    need, free = 4 * n_regions**2, _free_bytes() if max_bytes is None else max_bytes
    too_big = InputError(
        f"a distance matrix that fits in memory ({_gigabytes(free)} free)",
        f"{n_regions} regions, which need {_gigabytes(need)}",
        "Cluster fewer regions: take fewer images, a coarser grid or a random sample.",
    )
    if free is not None and need > free:
        raise too_big
    try:
        distance = np.empty((n_regions, n_regions), dtype=np.float32)
    except MemoryError as error:
        raise too_big from error
    np.matmul(embeddings, embeddings.T, out=distance)
    for start in range(0, n_regions, ROWS):
        rows = distance[start : start + ROWS]
        np.subtract(1.0, rows, out=rows)
        np.clip(rows, 0.0, max_distance, out=rows)
    np.fill_diagonal(distance, 0.0)
    return distance


def summed_distance(
    embeddings: Float[np.ndarray, "n_regions dim"],
    labels: Int[np.ndarray, " n_regions"],
    medoids: Int[np.ndarray, " n_clusters"],
) -> float:
    """Cosine distance of each region to its medoid, summed in float64: the loss of k-medoids.

    Examples
    --------
    >>> z = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> round(summed_distance(z, np.array([0, 0, 1]), np.array([0, 2])), 6)
    0.4
    """
    similarity = np.einsum("ij,ij->i", embeddings, embeddings[medoids[labels]], dtype=np.float64)
    distance = np.clip(1.0 - similarity, 0.0, 2.0)
    distance[medoids[labels] == np.arange(len(labels))] = 0.0
    return float(distance.sum())


def _free_bytes() -> int | None:
    """Memory the machine can still give, or None where that is unknown."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _gigabytes(n_bytes: int | None) -> str:
    """Write a number of bytes for people."""
    return "an unknown amount" if n_bytes is None else f"{n_bytes / 1e9:.3g} GB"
