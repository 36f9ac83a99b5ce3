"""The compiled sums and swaps of FasterPAM: what a swap would change, kept up to date, and swaps made at once.

Arguments are the arrays of :class:`~ravl_explore.clustering.fasterpam.Medoids` by the same names, changed in place.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, prange

from ravl_explore.clustering.parallel import WIDTH


@njit(cache=True, nogil=True)
@no_type_check
def update_block(distance, start, stop, changed, old_slot, old_near, new_slot, new_near, shared, change):
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
def update_blocks(distance, changed, old_slot, old_near, new_slot, new_near, shared, change):
    """Do all blocks of columns, over all cores."""
    n_regions = len(distance)
    for block in prange((n_regions + WIDTH - 1) // WIDTH):
        start, stop = block * WIDTH, min(block * WIDTH + WIDTH, n_regions)
        update_block(distance, start, stop, changed, old_slot, old_near, new_slot, new_near, shared, change)


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
def best_changes(slot, near, shared, change):
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
def swap_eagerly(distance, candidates, index, is_medoid, slot, near, threshold):
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
