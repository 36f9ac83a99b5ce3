"""FasterPAM: add one medoid greedily, and swap medoids for better regions until none is left.

The loss change of every swap splits into a part for the region that comes, one for the medoid that goes, and a shared
one (Schubert & Rousseeuw, "Fast and eager k-medoids clustering", Information Systems 101, 2021, sections 3-4). Unlike
there, the parts are kept between rounds and brought up to date only for regions whose two nearest medoids changed.
Cores share the candidates (columns) while each sum runs over regions in index order, so results do not depend on the
number of threads. Float32 cosine distances, 1 - x, are multiples of 2⁻²⁴, so that their float64 sums are exact, and
taking terms out again leaves no rounding behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from ravl_explore.clustering.fasterpam_kernels import best_changes, swap_eagerly, update_block, update_blocks
from ravl_explore.clustering.parallel import KERNEL_LOCK, PARALLEL_WORK

TOLERANCE = 1e-9
"""A swap must lower the loss by more than this part of it: rounding can then never make swaps go round in circles."""


@dataclass(eq=False)
class Medoids:
    """The medoids so far and what each further step needs to know; changed in place by the functions of this file.

    Attributes
    ----------
    distance : Float32[np.ndarray, "n_regions n_regions"]
        Symmetric, C-contiguous, in ``[0, 2]``, zero on the diagonal.
    index : Int64[np.ndarray, "n_clusters"]
        Region index of each medoid.
    is_medoid : Bool[np.ndarray, "n_regions"]
        Whether a region is a medoid.
    slot : Int64[np.ndarray, "2 n_regions"]
        Position in ``index`` of the nearest and of the second nearest medoid of each region, -1 where there is none.
    near : Float32[np.ndarray, "2 n_regions"]
        Distances to those two, 2 (the largest there is) where there is none.
    summed_slot, summed_near
        ``slot[0]`` and ``near`` at the time ``shared`` and ``change`` were summed.
    shared : Float64[np.ndarray, "n_regions"]
        Change of the loss if a region becomes a further medoid; at most 0.
    change : Float64[np.ndarray, "max_clusters n_regions"]
        What dropping a medoid (row) adds to that if a region (column) comes instead, less the medoid's removal loss.
    """

    distance: Float32[np.ndarray, "n_regions n_regions"]
    index: Int64[np.ndarray, " n_clusters"]
    is_medoid: Bool[np.ndarray, " n_regions"]
    slot: Int64[np.ndarray, "2 n_regions"]
    near: Float32[np.ndarray, "2 n_regions"]
    summed_slot: Int64[np.ndarray, " n_regions"]
    summed_near: Float32[np.ndarray, "2 n_regions"]
    shared: Float64[np.ndarray, " n_regions"]
    change: Float64[np.ndarray, "max_clusters n_regions"]

    @classmethod
    def none(cls, distance: Float32[np.ndarray, "n_regions n_regions"], max_clusters: int) -> Medoids:
        """Start without any medoid, with room for ``max_clusters``.

        Parameters
        ----------
        distance : Float32[np.ndarray, "n_regions n_regions"]
            Symmetric, zero on the diagonal.
        max_clusters : int
            How many medoids may be added.
        """
        n_regions = len(distance)
        return cls(
            distance,
            index=np.empty(0, dtype=np.int64),
            is_medoid=np.zeros(n_regions, dtype=np.bool_),
            slot=np.full((2, n_regions), -1, dtype=np.int64),
            near=np.full((2, n_regions), 2.0, dtype=np.float32),
            summed_slot=np.full(n_regions, -1, dtype=np.int64),
            summed_near=np.zeros((2, n_regions), dtype=np.float32),  # a region at 0 adds nothing to any sum
            shared=np.zeros(n_regions, dtype=np.float64),
            change=np.zeros((max_clusters, n_regions), dtype=np.float64),
        )

    @classmethod
    def at(
        cls,
        distance: Float32[np.ndarray, "n_regions n_regions"],
        index: Int64[np.ndarray, " n_clusters"],
        max_clusters: int,
    ) -> Medoids:
        """Start from given medoids, at least two and no two alike; the first wins ties.

        Parameters
        ----------
        distance : Float32[np.ndarray, "n_regions n_regions"]
            Symmetric, zero on the diagonal.
        index : Int64[np.ndarray, "n_clusters"]
            Region index of each medoid.
        max_clusters : int
            How many medoids may be there later.

        Examples
        --------
        >>> points = np.array([0.0, 0.1, 0.2, 1.0], dtype=np.float32)
        >>> Medoids.at(np.abs(points[:, None] - points), np.array([3, 0]), max_clusters=2).labels().tolist()
        [1, 1, 1, 0]
        """
        medoids, columns = cls.none(distance, max_clusters), np.arange(len(distance))
        medoids.index = np.array(index, dtype=np.int64)
        medoids.is_medoid[medoids.index] = True
        rows = distance[medoids.index]  # a copy
        for place in range(2):
            medoids.slot[place] = rows.argmin(axis=0)
            medoids.near[place] = rows[medoids.slot[place], columns]
            rows[medoids.slot[place], columns] = np.inf
        return medoids

    def labels(self) -> Int64[np.ndarray, " n_regions"]:
        """Cluster of each region. A medoid is always in its own, even if it has an identical twin, so none is empty."""
        labels = self.slot[0].copy()
        labels[self.index] = np.arange(len(self.index))
        return labels

    def loss(self) -> float:
        """Summed distance of each region to its medoid."""
        return float(self.near[0].sum(dtype=np.float64))


def add_medoid(medoids: Medoids) -> None:
    """Add the region that lowers the loss most, one step of PAM's BUILD; the first such region wins ties.

    Costs O(n) for each region whose nearest or second nearest medoid changed since the last step.

    Parameters
    ----------
    medoids : Medoids
        Changed in place.

    Examples
    --------
    >>> points = np.array([0.0, 0.1, 0.2, 1.0], dtype=np.float32)
    >>> medoids = Medoids.none(np.abs(points[:, None] - points), max_clusters=2)
    >>> add_medoid(medoids); add_medoid(medoids)
    >>> medoids.index.tolist()
    [1, 3]
    """
    _bring_up_to_date(medoids)
    new, slot = int(np.argmin(np.where(medoids.is_medoid, np.inf, medoids.shared))), len(medoids.index)
    row = medoids.distance[new]
    first = (row < medoids.near[0]) | (medoids.slot[0] < 0)
    second = ~first & ((row < medoids.near[1]) | (medoids.slot[1] < 0))
    medoids.near[1] = np.where(first, medoids.near[0], np.where(second, row, medoids.near[1]))
    medoids.slot[1] = np.where(first, medoids.slot[0], np.where(second, slot, medoids.slot[1]))
    medoids.near[0][first], medoids.slot[0][first] = row[first], slot
    medoids.index = np.append(medoids.index, new)
    medoids.is_medoid[new] = True


def swap_round(medoids: Medoids, order: Int64[np.ndarray, " n_regions"]) -> int:
    """Find all regions that would do better in some medoid's place, and swap them in one after another.

    Each is judged again before its turn, so the loss never rises. Costs O(n) for each region whose medoids changed
    since the last step, each candidate and each swap, and O(n k) for finding the candidates. Needs two medoids.

    Parameters
    ----------
    medoids : Medoids
        Changed in place.
    order : Int64[np.ndarray, "n_regions"]
        The permutation of all regions in which they are tried.

    Returns
    -------
    int
        Number of swaps made. At 0 the medoids are a local optimum: no single swap lowers the loss.

    Examples
    --------
    >>> points = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2], dtype=np.float32)
    >>> medoids = Medoids.none(np.abs(points[:, None] - points), max_clusters=2)
    >>> add_medoid(medoids); add_medoid(medoids)
    >>> while swap_round(medoids, np.arange(6)): pass
    >>> sorted(medoids.index.tolist())
    [1, 4]
    """
    _bring_up_to_date(medoids)
    threshold = -TOLERANCE * medoids.loss()
    best = best_changes(medoids.slot, medoids.near, medoids.shared, medoids.change[: len(medoids.index)])
    candidates = order[(best < threshold)[order] & ~medoids.is_medoid[order]]
    if not len(candidates):
        return 0
    return swap_eagerly(
        medoids.distance, candidates, medoids.index, medoids.is_medoid, medoids.slot, medoids.near, threshold
    )


def _bring_up_to_date(medoids: Medoids) -> None:
    """Sum ``shared`` and ``change`` afresh for the regions whose two nearest medoids changed."""
    changed = np.flatnonzero(
        (medoids.slot[0] != medoids.summed_slot) | (medoids.near != medoids.summed_near).any(axis=0)
    )
    slot, near = medoids.slot[0].copy(), medoids.near.copy()
    terms = (changed, medoids.summed_slot, medoids.summed_near, slot, near, medoids.shared, medoids.change)
    if len(changed) * len(slot) < PARALLEL_WORK:
        update_block(medoids.distance, 0, len(slot), *terms)
    else:
        with KERNEL_LOCK:
            update_blocks(medoids.distance, *terms)
    medoids.summed_slot, medoids.summed_near = slot, near
