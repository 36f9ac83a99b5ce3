"""FasterPAM against naive loops: every step's loss, sums and swaps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ravl_explore.clustering import fasterpam
from ravl_explore.clustering.distances import cosine_distance
from ravl_explore.clustering.fasterpam_kernels import best_changes


def naive_loss(distance: np.ndarray, medoids) -> float:
    """Sum over regions of the distance to the nearest medoid, by loops."""
    return sum(min(float(distance[o, m]) for m in medoids) for o in range(len(distance)))


def converged(distance: np.ndarray, n_clusters: int, seed: int = 0) -> fasterpam.Medoids:
    """Add greedily, then swap until nothing helps."""
    medoids = fasterpam.Medoids.none(distance, n_clusters)
    for _ in range(n_clusters):
        fasterpam.add_medoid(medoids)
    order = np.random.default_rng(seed).permutation(len(distance))
    while fasterpam.swap_round(medoids, order):
        pass
    return medoids


def assert_consistent(medoids: fasterpam.Medoids) -> None:
    """Nearest and second nearest are what a full search finds."""
    to_medoids = medoids.distance[:, medoids.index]
    np.testing.assert_array_equal(medoids.near, np.sort(to_medoids, axis=1)[:, :2].T)
    rows = np.arange(len(to_medoids))
    np.testing.assert_array_equal(to_medoids[rows, medoids.slot[0]], medoids.near[0])
    np.testing.assert_array_equal(to_medoids[rows, medoids.slot[1]], medoids.near[1])
    assert (medoids.slot[0] != medoids.slot[1]).all()
    assert sorted(np.flatnonzero(medoids.is_medoid)) == sorted(medoids.index)


def test_add_medoid_takes_the_greatest_reduction(blobs):
    distance = cosine_distance(blobs)
    medoids = fasterpam.Medoids.none(distance, 4)
    for _ in range(4):
        before = list(medoids.index)
        fasterpam.add_medoid(medoids)
        losses = [naive_loss(distance, [*before, x]) for x in range(len(distance)) if x not in before]
        assert naive_loss(distance, medoids.index) == pytest.approx(min(losses), abs=1e-6)
    assert_consistent(medoids)


@pytest.mark.parametrize("n_clusters", [2, 3, 5, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_single_swap_lowers_the_converged_loss(blobs, n_clusters, seed):
    distance = cosine_distance(blobs)
    medoids = converged(distance, n_clusters, seed)
    loss = naive_loss(distance, medoids.index)
    for drop, new in itertools.product(range(n_clusters), range(len(distance))):
        swapped = medoids.index.copy()
        swapped[drop] = new
        assert naive_loss(distance, swapped) >= loss - 1e-6
    assert_consistent(medoids)


def test_starting_from_given_medoids_is_as_if_they_had_been_found(many):
    distance = cosine_distance(many)
    order = np.arange(len(distance))
    found = fasterpam.Medoids.none(distance, 10)
    for _ in range(9):
        fasterpam.add_medoid(found)
    assert fasterpam.swap_round(found, order)
    again = fasterpam.Medoids.at(distance, found.index, 10)
    assert_consistent(again)
    np.testing.assert_array_equal(again.labels(), found.labels())
    assert again.loss() == found.loss()
    for medoids in (found, again):
        fasterpam.add_medoid(medoids)
        while fasterpam.swap_round(medoids, order):
            pass
    np.testing.assert_array_equal(again.index, found.index)


def test_of_equally_near_given_medoids_the_first_wins():
    distance = cosine_distance(np.repeat(np.eye(3), 2, axis=0))
    medoids = fasterpam.Medoids.at(distance, np.array([5, 0, 1, 2]), 4)
    assert medoids.slot[0].tolist() == [1, 1, 3, 3, 0, 0]
    assert medoids.slot[1].tolist() == [2, 2, 0, 0, 1, 1]


def test_swaps_leave_a_bad_start(blobs):
    """From the worst start, the loss falls each round and ends in a local optimum with consistent caches."""
    distance = cosine_distance(blobs)
    medoids = fasterpam.Medoids.at(distance, np.argsort(distance[0])[:5], 5)  # five neighbours
    losses, swaps = [naive_loss(distance, medoids.index)], 0
    while n_swaps := fasterpam.swap_round(medoids, np.arange(len(distance))):
        swaps += n_swaps
        losses.append(naive_loss(distance, medoids.index))
        assert_consistent(medoids)
    assert swaps >= 3
    assert all(after < before for before, after in itertools.pairwise(losses))


def test_best_changes_equal_brute_force(blobs):
    """The kept sums give the true change of every region's best swap, after additions and swaps."""
    distance = cosine_distance(blobs)
    medoids = converged(distance, 4)

    fasterpam._bring_up_to_date(medoids)
    best = best_changes(medoids.slot, medoids.near, medoids.shared, medoids.change)
    loss = naive_loss(distance, medoids.index)
    for x in np.flatnonzero(~medoids.is_medoid):
        swapped = [[*np.delete(medoids.index, c), x] for c in range(4)]
        assert best[x] == pytest.approx(min(naive_loss(distance, s) for s in swapped) - loss, abs=1e-6)


def test_serial_and_parallel_sums_are_the_same_bits(many, monkeypatch):
    distance = cosine_distance(many)
    results = []
    for work in (0, 10**12):
        monkeypatch.setattr(fasterpam, "PARALLEL_WORK", work)
        results.append(converged(distance, 7))
    np.testing.assert_array_equal(results[0].index, results[1].index)
    np.testing.assert_array_equal(results[0].shared, results[1].shared)
    np.testing.assert_array_equal(results[0].change, results[1].change)


def test_a_medoid_is_in_its_own_cluster_even_with_a_twin():
    medoids = converged(np.zeros((6, 6), dtype=np.float32), 3)
    assert np.bincount(medoids.labels(), minlength=3).min() >= 1
    assert len(set(medoids.index)) == 3
