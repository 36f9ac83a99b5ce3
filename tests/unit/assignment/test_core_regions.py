"""core_regions() against naive loops, at its edges."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from ravl_explore.assignment.core_regions import ROUNDS, SMOOTHING, core_regions


def by_loops(
    similarity: np.ndarray, possible: np.ndarray, image: np.ndarray, cluster: np.ndarray, label: np.ndarray
) -> list[int]:
    rows = [r for r in range(len(image)) if possible[r]]

    def best(score: dict[int, tuple[float, ...]]) -> set[int]:
        found: dict[int, int] = {}
        for r in rows:
            if image[r] not in found or score[r] > score[found[image[r]]]:
                found[image[r]] = r
        return set(found.values())

    chosen = best({r: (similarity[r],) for r in rows})
    overall = len(chosen) / max(len(rows), 1)
    for _ in range(ROUNDS):
        of_cluster, of_pair = defaultdict(list), defaultdict(list)
        for r in rows:
            of_cluster[cluster[r]].append(r in chosen)
            of_pair[cluster[r], label[r]].append(r in chosen)
        score = {}
        for r in rows:
            won, won_in_class = of_cluster[cluster[r]], of_pair[cluster[r], label[r]]
            share = (sum(won) + SMOOTHING * overall) / (len(won) + SMOOTHING)
            in_class = (sum(won_in_class) + SMOOTHING * share) / (len(won_in_class) + SMOOTHING)
            score[r] = (share * in_class, similarity[r])
        chosen, before = best(score), chosen
        if chosen == before:
            break
    return sorted(chosen)


@pytest.mark.parametrize("seed", range(20))
def test_core_regions_equal_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 80))
    image, cluster = rng.integers(0, max(1, n // 4), n), rng.integers(0, 6, n)  # images in no order
    label = rng.integers(0, 3, n)[image % 3]
    similarity = rng.normal(size=n).round(1)  # with ties
    possible = rng.random(n) < 0.8
    found = core_regions(similarity, possible, image, cluster, label)
    assert np.flatnonzero(found).tolist() == by_loops(similarity, possible, image, cluster, label)


def test_background_that_looks_like_a_class_loses_by_its_cluster() -> None:
    """Each image has a thing of its class's cluster and a background; half of class 0 look less like it than it."""
    n = 60
    image = np.repeat(np.arange(n), 2)
    label = np.repeat(np.arange(n) % 3, 2)
    is_thing = np.tile([True, False], n)
    cluster = np.where(is_thing, label, 3)
    similarity = np.where(is_thing, 0.5, np.where((label == 0) & (image % 2 > 0), 0.6, 0.3))
    alone = similarity.reshape(n, 2).argmax(1) == 0
    assert not alone.all()
    assert core_regions(similarity, np.ones(2 * n, bool), image, cluster, label).tolist() == is_thing.tolist()


def test_a_thing_of_another_class_beside_the_named_one_stays_beside_it() -> None:
    """Dogs win whenever they are named, so often overall; in a cat's image the cat is core all the same."""
    named = np.array([0] * 10 + [1] * 30)  # cats, dogs; 10 of the cats' images and none of the dogs' show both
    image = np.concatenate([np.arange(40), np.arange(10)])
    cluster = np.concatenate([named, np.ones(10, int)])
    label = named[image]
    similarity = np.where(cluster == label, 0.6, 0.5)
    core = core_regions(similarity, np.ones(50, bool), image, cluster, label)
    assert core.tolist() == [True] * 40 + [False] * 10


def test_images_without_a_possible_region_have_no_core() -> None:
    image, cluster = np.array([0, 0, 1]), np.array([0, 1, 0])
    label = np.array([1, 1, -1])  # of an image that no class is known of, not possible
    found = core_regions(np.array([0.1, 0.2, 0.9]), np.array([True, True, False]), image, cluster, label)
    assert found.tolist() == [False, True, False]
    assert not core_regions(np.zeros(3), np.zeros(3, bool), image, cluster, label).any()
    assert core_regions(np.zeros(0), np.zeros(0, bool), image[:0], cluster[:0], label[:0]).shape == (0,)
