"""Permutation p-values, the false-discovery correction and the accuracy intervals, against slow definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from ravl_explore.errors import InputError
from ravl_explore.metrics import (
    Presence,
    accuracy_interval,
    false_discovery_rate,
    performance_gap,
    permutation_p_values,
)

N_CLASSES = 3


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """labels, correct, and clusters of which only the first has anything to do with errors: (images, clusters) bool."""
    rng = np.random.default_rng(3)
    labels = rng.integers(N_CLASSES, size=150)
    correct = rng.random(150) < 0.7
    holds = rng.random((150, 4)) < 0.4
    holds[:, 0] = np.where(rng.random(150) < 0.35, ~correct, holds[:, 0])
    return labels, correct, holds, np.arange(150)


def gaps_of(labels: np.ndarray, correct: np.ndarray, holds: np.ndarray) -> Any:
    image, cluster = np.nonzero(holds)
    order = np.lexsort((image, cluster))
    return performance_gap(Presence(cluster[order], image[order], holds.shape[1]), labels, correct, N_CLASSES)


def test_as_often_as_when_memberships_are_moved_by_hand(case: tuple) -> None:
    labels, correct, holds, _ = case
    gaps = gaps_of(labels, correct, holds)
    rng = np.random.default_rng(0)
    reached = np.ones(holds.shape[1])
    n = 1500
    for _ in range(n):
        moved = holds.copy()
        for y in range(N_CLASSES):
            rows = np.flatnonzero(labels == y)
            moved[rows] = holds[rng.permutation(rows)]
        reached += gaps_of(labels, correct, moved).total >= gaps.total - 1e-9
    slow = reached / (n + 1)
    quick = permutation_p_values(gaps, labels, correct, n_permutations=4000, seed=1)
    assert quick == pytest.approx(slow, abs=0.045)  # three standard errors of the slow one at p = 0.5
    assert quick[0] < 0.01 < quick[1:].min()


def test_small_blocks_give_what_one_block_gives(case: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, correct, holds, _ = case
    gaps = gaps_of(labels, correct, holds)
    whole = permutation_p_values(gaps, labels, correct, n_permutations=3000)
    monkeypatch.setattr("ravl_explore.metrics.significance.DRAWS_AT_ONCE", 1)
    assert permutation_p_values(gaps, labels, correct, n_permutations=3000) == pytest.approx(whole, abs=0.05)


def test_chance_is_rarely_called_significant() -> None:
    """Under the null hypothesis p-values are spread evenly: 5% of them are below 0.05."""
    rng = np.random.default_rng(5)
    labels, correct = rng.integers(N_CLASSES, size=300), rng.random(300) < 0.6
    gaps = gaps_of(labels, correct, rng.random((300, 400)) < 0.3)
    p_values = permutation_p_values(gaps, labels, correct)
    assert 0.02 < (p_values < 0.05).mean() < 0.09
    assert 0.44 < p_values.mean() < 0.56


def test_nothing_to_compare_gives_one() -> None:
    labels, correct = np.zeros(6, int), np.array([True] * 6)
    gaps = gaps_of(labels, correct, np.array([[True, True]] * 3 + [[False, True]] * 3))
    assert permutation_p_values(gaps, labels, correct).tolist() == [1.0, 1.0]  # never wrong; and in every image


def test_too_few_permutations_are_refused(case: tuple) -> None:
    labels, correct, holds, _ = case
    with pytest.raises(InputError, match="at least 1,000"):
        permutation_p_values(gaps_of(labels, correct, holds), labels, correct, n_permutations=999)


def test_one_clear_finding_among_many_clusters_is_found() -> None:
    """With 1,000 shuffles alone its q-value could not be below 300 / 1,001."""
    rng = np.random.default_rng(8)
    labels, correct = rng.integers(N_CLASSES, size=600), rng.random(600) < 0.6
    holds = rng.random((600, 300)) < 0.1
    holds[:, 7] = ~correct
    q_values = false_discovery_rate(permutation_p_values(gaps_of(labels, correct, holds), labels, correct))
    assert q_values[7] < 0.05
    assert (q_values < 0.05).sum() <= 3


def test_q_values_are_those_worked_out_by_hand() -> None:
    """In order 0.01 * 5/1, 0.02 * 5/2, 0.03 * 5/3, 0.2 * 5/4, 0.9 * 5/5; none above a later one: 0.05 three times."""
    q_values = false_discovery_rate(np.array([0.03, 0.9, 0.01, 0.2, 0.02]))
    assert q_values == pytest.approx([0.05, 0.9, 0.05, 0.25, 0.05], rel=1e-15)
    assert false_discovery_rate(np.array([0.5, 0.9, 0.9])) == pytest.approx([0.9, 0.9, 0.9], rel=1e-15)
    assert false_discovery_rate(np.array([1, 0])).tolist() == [1.0, 0.0]
    assert false_discovery_rate(np.array([])).tolist() == []


@pytest.mark.parametrize("n", [1, 2, 50])
def test_q_values_are_those_of_a_plain_loop(n: int) -> None:
    p = np.random.default_rng(n).random(n) ** 3
    rank = {value: place for place, value in enumerate(sorted(p), 1)}
    plain = [min(1.0, *(later * n / rank[later] for later in p if later >= value)) for value in p]
    assert false_discovery_rate(p) == pytest.approx(plain, rel=1e-15)


def test_intervals_are_those_of_drawing_images_again() -> None:
    rng = np.random.default_rng(0)
    hits, n = np.array([3, 40, 199]), np.array([20, 90, 200])
    low, high = accuracy_interval(hits, n)
    for each in range(3):
        right = np.arange(n[each]) < hits[each]
        drawn = rng.choice(right, (20_000, n[each])).mean(1)
        assert [low[each], high[each]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1.01 / n[each])


def test_all_right_is_not_certain() -> None:
    low, high = accuracy_interval(np.array([10, 0, 0]), np.array([10, 10, 0]))
    assert (low[0], high[0]) == (pytest.approx(0.025**0.1), 1.0)
    assert (low[1], high[1]) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert np.isnan(low[2]) and np.isnan(high[2])


def test_discovery_tells_the_planted_cluster_from_chance(
    make_embeddings: Callable[..., Any], cluster: Callable[..., Any]
) -> None:
    from ravl_explore.discovery import discover
    from ravl_explore.scores import zero_shot

    embeddings = make_embeddings(1, counts=(4,) * 200, dim=8)
    found = discover(zero_shot(embeddings), cluster(embeddings.region, np.arange(10) * 11))
    frame = found.frame()
    assert (frame["gap_per_class"] * 3).to_numpy() == pytest.approx(frame["performance_gap"].to_numpy())
    assert frame["q_value"].to_numpy() == pytest.approx(false_discovery_control(frame["p_value"].to_numpy()))
    assert (frame["p_value"] >= 1 / 1001).all() and frame["q_value"].min() > 0.05  # random embeddings: all is chance
    table = found.clusters[0].table
    inside = table[table["n_in"] > 0]
    assert (inside["accuracy_in_low"] <= inside["accuracy_in"]).all()
    assert (inside["accuracy_in"] <= inside["accuracy_in_high"]).all()
