"""The paired bootstrap: every measure by naive loops, intervals that cover, and regions drawn with their image."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.comparison import compare
from ravl_explore.evaluation import Evaluation, feature_gap
from ravl_explore.metrics import Samples, group_accuracy, paired, shortcut_strength

NAMES = ("shirt", "coat", "bag")
RNG = np.random.default_rng(3)
LABELS, PRESENT = RNG.integers(3, size=90), RNG.random(90) < 0.5
OLD, NEW = RNG.random(90) < 0.5, RNG.random(90) < 0.7


def counts(correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cell = 2 * LABELS + PRESENT
    return np.bincount(cell, weights=correct, minlength=6)[None], np.bincount(cell, minlength=6)[None].astype(float)


def test_measures_of_all_images_are_those_of_the_metrics() -> None:
    groups = group_accuracy(OLD, LABELS, PRESENT, NAMES, 5)
    right, n = counts(OLD)
    assert paired.overall(right, n)[0] == pytest.approx(groups.overall)
    assert paired.worst(n[0] >= 5)(right, n)[0] == pytest.approx(groups.worst)
    assert [paired.group(cell)(right, n)[0] for cell in range(6)] == pytest.approx(groups.table["accuracy"].tolist())
    for at, name in enumerate(NAMES):
        found = [paired.shortcut(at, which)(right, n)[0] for which in (0, 1)]
        assert found == pytest.approx(shortcut_strength(groups, name))
    assert paired.gap(right, n)[0] == pytest.approx(feature_gap(PRESENT, LABELS, OLD, NAMES))


def test_regions_are_drawn_with_their_image() -> None:
    """Counts of each draw are sums over whole images; checked against a loop over images drawn one by one."""
    image = np.repeat(np.arange(15), 6)
    old, new = (Samples(2 * LABELS + PRESENT, each, image, 1) for each in (OLD, NEW))
    drawn = paired.redraw(old, new, 6, n_draws=4000)
    assert drawn.n.sum(1).tolist() == [90.0] * 4000
    rng, naive = np.random.default_rng(0), []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(image == each) for each in rng.integers(15, size=15)])
        naive.append(NEW[rows].mean() - OLD[rows].mean())
    expected = np.quantile(naive, [0.025, 0.975])
    own = NEW.mean() - OLD.mean()
    assert drawn.interval(paired.overall) == pytest.approx((2 * own - expected[1], 2 * own - expected[0]), abs=0.012)
    alone = paired.redraw(*(Samples(2 * LABELS + PRESENT, each, np.arange(90), 1) for each in (OLD, NEW)), 6)
    assert alone.interval(paired.overall) != drawn.interval(paired.overall)


def test_one_image_of_fifty_may_be_chance_and_ten_are_not() -> None:
    cell, image, wrong = np.zeros(50, int), np.arange(50), np.zeros(50, bool)
    for n_fixed, sure in ((0, False), (1, False), (4, False), (8, True)):  # McNemar's p: 1, 1, 0.125, 0.008
        low, high = paired.redraw(*(Samples(cell, each, image, 1) for each in (wrong, image < n_fixed)), 2).interval(
            paired.group(0)
        )
        assert (low > 1e-9) == sure and low <= n_fixed / 50 + 1e-9 and n_fixed / 50 <= high + 1e-9


def test_intervals_cover_the_true_difference_about_as_often_as_they_say() -> None:
    rng, covered = np.random.default_rng(1), 0
    for seed in range(300):
        hard = rng.random(150)
        old, new = hard < 0.6, rng.random(150) < np.where(hard < 0.6, 0.9, 0.4)  # 0.6 and 0.9 x 0.6 + 0.4 x 0.4 = 0.7
        samples = (Samples(np.zeros(150, int), each, np.arange(150), 1) for each in (old, new))
        low, high = paired.redraw(*samples, 2, seed=seed).interval(paired.overall)
        covered += low <= 0.1 <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_intervals_of_a_gap_that_vanishes_hold_the_difference() -> None:
    """Draws of a sum of sizes lie too high, most of all where the truth is 0."""
    rng, covered = np.random.default_rng(2), 0
    cell = np.repeat(np.arange(20), 100)
    true = np.where(np.arange(20) % 2, 0.55, 0.88)[cell]
    for seed in range(60):
        old, new = rng.random(2000) < true, rng.random(2000) < 0.88
        samples = (Samples(cell, each, np.arange(2000), 1) for each in (old, new))
        low, high = paired.redraw(*samples, 20, n_draws=400, seed=seed).interval(paired.gap)
        covered += low <= -10 * 0.33 <= high
    assert covered >= 50


def test_few_draws_that_have_the_measure_are_not_enough() -> None:
    cell = np.repeat([0, 1, 2, 3], [50, 50, 50, 1])  # the last group is missing in a third of the draws
    samples = [Samples(cell, np.arange(151) < n, np.arange(151), 1) for n in (60, 120)]
    drawn = paired.redraw(*samples, 4)
    assert np.isnan(drawn.interval(paired.shortcut(0, 1))).all() and np.isnan(drawn.interval(paired.group(3))).all()
    assert np.isfinite(drawn.interval(paired.group(0))).all()


def test_groups_too_small_to_count_have_no_interval() -> None:
    few = Evaluation(
        group_accuracy(OLD, LABELS, PRESENT, NAMES, 16), None, LABELS, LABELS, NAMES, "m", "d", "r", None, 0
    )
    table = compare(few, few).groups()
    assert table["low"].notna().tolist() == (table["n"] >= 16).tolist() and 0 < (table["n"] < 16).sum() < 6
    other = Evaluation(
        group_accuracy(OLD, LABELS, PRESENT, NAMES, 1), None, LABELS, LABELS, NAMES, "m", "d", "r", None, 0
    )
    assert compare(few, other).frame()["low"].isna().all(), "two worst groups of different groups"


def test_an_empty_group_or_unknown_samples_have_no_interval() -> None:
    samples = [Samples(np.zeros(9, int), np.arange(9) < n, np.arange(9), 1) for n in (3, 4)]
    assert np.isnan(paired.redraw(*samples, 2).interval(paired.group(1))).all()
    assert np.isnan(paired.redraw(*samples, 2).interval(paired.worst(np.zeros(2, bool)))).all()
    groups = group_accuracy(OLD, LABELS, PRESENT, NAMES)
    groups.__dict__["samples"] = None
    old = Evaluation(groups, None, LABELS, LABELS, NAMES, "m", "d", "red", "shirt", 0.1)
    assert compare(old, old).frame()[["low", "high"]].isna().to_numpy().all()
    assert compare(old, old).groups()[["low", "high"]].isna().to_numpy().all()
