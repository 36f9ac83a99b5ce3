"""Cosine distances between regions: the checked embeddings, the one matrix, and the summed loss."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int, Real

from ravl_explore.clustering.chunks import Step, blocks
from ravl_explore.errors import InputError
from ravl_explore.support.memory import free_bytes, gigabytes

NORM_TOLERANCE = 1e-3
"""How far a norm may be from 1: room for embeddings that were stored as float16."""

ROWS = 64
"""Rows of the matrix worked on at a time, few enough to stay in cache."""


def check_embeddings(embeddings: np.ndarray) -> Float32[np.ndarray, "n_regions dim"]:
    """Return ``embeddings`` as contiguous float32 after checking that they are 2-D, finite and of unit norm.

    Nothing is copied where they are that already, memory-mapped or not.

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
    return np.ascontiguousarray(check_unit_rows(embeddings), dtype=np.float32)


def check_unit_rows(embeddings: np.ndarray, step: Step | None = None) -> Real[np.ndarray, "n_regions dim"]:
    """Return ``embeddings`` as they are, of any real type, after the checks of :func:`check_embeddings`.

    They are read in blocks, and never copied; ``step`` hears of each block.

    Parameters
    ----------
    embeddings : np.ndarray
        Rows that should be of unit norm.
    step : Step, optional
        Called after each block of rows, with the rows done.
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
    broken, off = _Rows(), _Rows()
    with np.errstate(over="ignore"):  # doubles may be too large for single precision; they are told as infinite
        for start, block in blocks(embeddings, step):
            norm = np.sqrt(np.einsum("ij,ij->i", block, block))
            rough = np.flatnonzero(~(np.abs(norm - 1) <= NORM_TOLERANCE / 2))  # NaN, too
            finite = np.isfinite(block[rough]).all(axis=1)
            broken.add(start, rough[~finite])
            rough = rough[finite]  # few, so these are measured with care
            exact = np.sqrt(np.einsum("ij,ij->i", block[rough], block[rough], dtype=np.float64))
            wrong = np.abs(exact - 1) > NORM_TOLERANCE
            off.add(start, rough[wrong], exact[wrong])
    if broken.n:
        raise InputError(
            "finite embeddings",
            f"{broken.n} of {len(embeddings)} rows with NaN or infinity, first row {broken.first}",
            "Check the model and the boxes of those regions, or drop them.",
        )
    if off.n:
        raise InputError(
            "embeddings of unit norm",
            f"{off.n} of {len(embeddings)} rows with another norm, first row {off.first} with norm {off.norm:.4g}",
            "Divide each row by its norm.",
        )
    return embeddings


class _Rows:
    """How many rows are wrong, and which is the first."""

    n, first, norm = 0, 0, 0.0

    def add(self, start: int, rows: np.ndarray, norms: np.ndarray | None = None) -> None:
        if len(rows) and not self.n:
            self.first = start + int(rows[0])
            self.norm = 0.0 if norms is None else float(norms[0])
        self.n += len(rows)


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
    need, free = 4 * n_regions**2, free_bytes() if max_bytes is None else max_bytes
    too_big = InputError(
        f"a distance matrix that fits in memory ({gigabytes(free)} free)",
        f"{n_regions} regions, which need {gigabytes(need)}",
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


def grown_distance(
    distance: Float32[np.ndarray, "n_regions n_regions"],
    embeddings: Float32[np.ndarray, "n_regions dim"],
    more: Float32[np.ndarray, "n_more dim"],
) -> Float32[np.ndarray, "n_regions+n_more n_regions+n_more"]:
    """The matrix of ``embeddings`` and, after them, ``more``; ``distance`` is that of the first alone.

    Copying is a tenth of the work of multiplying.

    Parameters
    ----------
    distance : Float32[np.ndarray, "n_regions n_regions"]
        Between the first rows of ``embeddings``.
    embeddings : Float32[np.ndarray, "n_regions dim"]
        All rows so far.
    more : Float32[np.ndarray, "n_more dim"]
        The rows that come after them.

    Examples
    --------
    >>> z = np.eye(3, dtype=np.float32)
    >>> grown_distance(cosine_distance(z[:2]), z[:2], z[2:]).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    if not len(more):
        return distance
    n_regions, n_all = len(distance), len(distance) + len(more)
    grown = np.empty((n_all, n_all), dtype=np.float32)
    grown[:n_regions, :n_regions] = distance
    beside = grown[n_regions:, :n_regions]
    np.clip(1.0 - more @ embeddings.T, 0.0, 2.0, out=beside)
    grown[:n_regions, n_regions:] = beside.T
    grown[n_regions:, n_regions:] = cosine_distance(more)
    return grown


def summed_distance(
    embeddings: Float[np.ndarray, "n_regions dim"],
    labels: Int[np.ndarray, " n_regions"],
    medoids: Int[np.ndarray, " n_clusters"],
) -> float:
    """Cosine distance of each region to its medoid, summed in float64: the loss of k-medoids.

    Parameters
    ----------
    embeddings : Float[np.ndarray, "n_regions dim"]
        Region embeddings, of unit norm.
    labels : Int[np.ndarray, "n_regions"]
        Cluster of each region.
    medoids : Int[np.ndarray, "n_clusters"]
        Region index of each cluster's medoid.

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
