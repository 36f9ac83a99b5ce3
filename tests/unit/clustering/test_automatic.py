"""Which clusterer, and which numbers of clusters, for how many regions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ravl_explore.clustering import Clara, KMedoids, automatic, automatic_sweep, default_sweep
from ravl_explore.errors import InputError


def test_exact_up_to_ten_thousand_regions():
    small, large = automatic(3, 10_000, seed=5), automatic(3, 10_001, seed=5)
    assert isinstance(small, KMedoids) and isinstance(large, Clara)
    assert small.n_clusters == large.n_clusters == tuple(default_sweep(3))
    assert small.seed == large.seed == 5


def test_a_clusterer_for_the_fewest_regions(blobs):
    for n in (2, 3, 8):
        assert automatic(10, n)(blobs[:n]).n_clusters >= 2
    with pytest.raises(InputError, match="got 1 regions"):
        automatic(10, 1)(blobs[:1])


@pytest.mark.parametrize("n_classes", [1, 2, 5, 10])
def test_the_papers_numbers_up_to_ten_classes(n_classes):
    assert automatic_sweep(n_classes, 10**6) == tuple(default_sweep(n_classes))


def test_more_classes_are_thinned_out_evenly():
    numbers = automatic_sweep(397, 10**6)
    assert (len(numbers), numbers[0], numbers[-1]) == (30, 794, 1984)
    steps = {b - a for a, b in pairwise(numbers)}
    assert steps <= {41, 42}


def test_never_more_clusters_than_regions():
    for n_classes in (1, 2, 10, 397):
        for n_regions in range(2, 60):
            numbers = automatic_sweep(n_classes, n_regions)
            assert numbers[0] >= 2 and numbers[-1] <= n_regions and len(set(numbers)) == len(numbers)
    assert automatic_sweep(10, 32) == tuple(range(20, 32))
    with pytest.raises(InputError, match="n_classes a whole number from 1 up"):
        automatic_sweep(0, 5)
