"""FasterPAM: compiled kernels that add one medoid greedily, and swap medoids for better regions until none is left.

The loss change of every swap splits into a part for the region that comes, one for the medoid that goes, and a shared
one (Schubert & Rousseeuw, "Fast and eager k-medoids clustering", Information Systems 101, 2021, sections 3-4). Unlike
there, the parts are kept between rounds and brought up to date only for regions whose two nearest medoids changed.
Cores share the candidates (columns) while each sum runs over regions in index order, so results do not depend on the
number of threads. Float32 cosine distances, 1 - x, are multiples of 2⁻²⁴, so that their float64 sums are exact, and
taking terms out again leaves no rounding behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numba import njit, prange

from ravl_explore.clustering.parallel import KERNEL_LOCK, PARALLEL_WORK, WIDTH

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
        """Start without any medoid, with room for ``max_clusters``."""
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
    best = _best_changes(medoids.slot, medoids.near, medoids.shared, medoids.change[: len(medoids.index)])
    candidates = order[(best < threshold)[order] & ~medoids.is_medoid[order]]
    if not len(candidates):
        return 0
    return _swap_eagerly(
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
        _update_block(medoids.distance, 0, len(slot), *terms)
    else:
        with KERNEL_LOCK:
            _update_blocks(medoids.distance, *terms)
    medoids.summed_slot, medoids.summed_near = slot, near


@njit(cache=True, nogil=True)
@no_type_check
def _update_block(distance, start, stop, changed, old_slot, old_near, new_slot, new_near, shared, change):
    """Take the old terms of the changed regions out of the sums of columns start to stop, and put the new ones in.

    With d = d(x, o): shared[x] = Σ_o min(d, first_o) - first_o and, over the regions o of medoid m,
    change[m, x] = Σ_o min(max(d, first_o), second_o) - second_o.
    """
    total = shared[start:stop]
    for o in changed:
        row = distance[o, start:stop]
        old_first, old_second = old_near[0, o], old_near[1, o]
        new_first, new_second = new_near[0, o], new_near[1, o]
        if old_first != new_first:
            shift = np.float64(new_first) - np.float64(old_first)
            for x in range(len(row)):
                d = row[x]
                new = d if d < new_first else new_first
                old = d if d < old_first else old_first
                total[x] += (np.float64(new) - np.float64(old)) - shift
        if old_slot[o] >= 0:
            part = change[old_slot[o], start:stop]
            for x in range(len(row)):
                d = row[x] if row[x] > old_first else old_first
                d = d if d < old_second else old_second
                part[x] -= np.float64(d) - np.float64(old_second)
        if new_slot[o] >= 0:
            part = change[new_slot[o], start:stop]
            for x in range(len(row)):
                d = row[x] if row[x] > new_first else new_first
                d = d if d < new_second else new_second
                part[x] += np.float64(d) - np.float64(new_second)


@njit(parallel=True, cache=True, nogil=True)
@no_type_check
def _update_blocks(distance, changed, old_slot, old_near, new_slot, new_near, shared, change):
    """Do all blocks of columns, over all cores."""
    n_regions = len(distance)
    for block in prange((n_regions + WIDTH - 1) // WIDTH):
        start, stop = block * WIDTH, min(block * WIDTH + WIDTH, n_regions)
        _update_block(distance, start, stop, changed, old_slot, old_near, new_slot, new_near, shared, change)


@njit(cache=True, nogil=True)
@no_type_check
def _removal_losses(n_clusters, slot, near):
    """Loss each medoid's removal would cost: Σ over its regions of second nearest - nearest."""
    removal = np.zeros(n_clusters, dtype=np.float64)
    for o in range(slot.shape[1]):
        removal[slot[0, o]] += np.float64(near[1, o]) - np.float64(near[0, o])
    return removal


@njit(cache=True, nogil=True)
@no_type_check
def _best_changes(slot, near, shared, change):
    """Change in loss if a region comes for the medoid that is best to drop for it, for every region."""
    n_clusters, n_regions = change.shape
    best = np.full(n_regions, np.inf)
    removal = _removal_losses(n_clusters, slot, near)
    for c in range(n_clusters):
        row, loss = change[c], removal[c]
        for x in range(n_regions):
            value = row[x] + loss
            best[x] = value if value < best[x] else best[x]
    return best + shared


@njit(cache=True, nogil=True)
@no_type_check
def _best_swap(row, removal, slot, near):
    """Change in loss, and the medoid to drop, when the region with this row of distances becomes a medoid."""
    change, shared = removal.copy(), 0.0
    first, second, owner = near[0], near[1], slot[0]
    for o in range(len(row)):
        d = row[o]
        if d < second[o]:
            if d < first[o]:
                shared += np.float64(d) - np.float64(first[o])
                change[owner[o]] += np.float64(first[o]) - np.float64(second[o])
            else:
                change[owner[o]] += np.float64(d) - np.float64(second[o])
    drop = np.argmin(change)
    return change[drop] + shared, drop


@njit(cache=True, nogil=True)
@no_type_check
def _find_second(distance, index, slot, near, o):
    """Look up the second nearest medoid of region o afresh."""
    near[1, o] = np.float32(np.inf)
    for c in range(len(index)):
        d = distance[o, index[c]]
        if c != slot[0, o] and d < near[1, o]:
            near[1, o], slot[1, o] = d, c


@njit(cache=True, nogil=True)
@no_type_check
def _swap(distance, index, is_medoid, slot, near, drop, new):
    """Put region ``new`` in the place of medoid ``drop`` and bring nearest and second nearest up to date."""
    is_medoid[index[drop]], is_medoid[new] = False, True
    index[drop] = new
    row = distance[new]
    for o in range(len(row)):
        d = row[o]
        if slot[0, o] == drop:
            if d < near[1, o]:
                near[0, o] = d
            else:
                slot[0, o], near[0, o] = slot[1, o], near[1, o]
                _find_second(distance, index, slot, near, o)
        elif d < near[0, o]:
            slot[1, o], near[1, o] = slot[0, o], near[0, o]
            slot[0, o], near[0, o] = drop, d
        elif d < near[1, o]:
            slot[1, o], near[1, o] = drop, d
        elif slot[1, o] == drop:
            _find_second(distance, index, slot, near, o)


@njit(cache=True, nogil=True)
@no_type_check
def _swap_eagerly(distance, candidates, index, is_medoid, slot, near, threshold):
    """Judge the candidates one by one and swap at once wherever that lowers the loss; return the number of swaps."""
    n_swaps = 0
    removal = _removal_losses(len(index), slot, near)
    for candidate in candidates:
        change, drop = _best_swap(distance[candidate], removal, slot, near)
        if change < threshold:
            _swap(distance, index, is_medoid, slot, near, drop, candidate)
            removal = _removal_losses(len(index), slot, near)
            n_swaps += 1
    return n_swaps
